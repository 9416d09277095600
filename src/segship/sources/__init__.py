"""Where trained networks come from: one file or folder for each framework."""
