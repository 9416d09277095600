"""Foreign files, read without running anything they carry: checkpoints, overrides, descriptions. For every source."""
