"""Every day's report of the world's clocks: a graph, and the one task that it needs. See examples/README.md."""
