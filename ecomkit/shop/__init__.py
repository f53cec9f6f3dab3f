"""The shop: its search, its state, its rules, and the tools through which an agent works it."""
