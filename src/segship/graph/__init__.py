"""From a network to a Graph: capture, rewrite, check."""
