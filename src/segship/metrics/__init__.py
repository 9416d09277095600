"""Confusion matrix and what follows from it. Pure functions."""
