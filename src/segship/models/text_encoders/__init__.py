"""Encoders of class names; only their weights are kept, nothing here runs."""
