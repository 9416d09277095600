"""From a network to a graph: our tracer, and the exporters of others where it refuses."""
