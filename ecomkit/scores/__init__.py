"""Scores: logs read, replayed, verified, and explained by labels."""
