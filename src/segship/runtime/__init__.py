"""The torch-free SDK: open a package, get masks."""
