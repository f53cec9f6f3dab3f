"""The versions that what is made here carries."""

GENERATOR_VERSION = "1.0"
"""Raised whenever the same seed gives another episode."""
