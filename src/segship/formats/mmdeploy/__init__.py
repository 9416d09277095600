"""MMDeploy: its deploy configs and the folders its SDK opens."""
