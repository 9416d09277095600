"""Formats of packages that others write and read."""
