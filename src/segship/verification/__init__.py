"""Comparing an engine with the network it was made of, and the gates it has to pass."""
