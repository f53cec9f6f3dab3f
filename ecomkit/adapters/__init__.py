"""One thin module for each tool of the field."""
