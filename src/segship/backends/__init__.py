"""One file for each inference engine, found by its name."""
