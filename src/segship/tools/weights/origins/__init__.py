"""Whose weights can be converted: one module each, found by its name."""
