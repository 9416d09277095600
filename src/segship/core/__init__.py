"""The words every room shares. Standard library and NumPy only."""
