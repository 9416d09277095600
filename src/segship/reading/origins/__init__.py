"""Key maps of foreign checkpoints: one module for each repository, found by its name."""
