"""The words every room shares. Standard library, NumPy and pydantic only."""
