"""A thousand pictures made small, some of which are broken: a graph with a map. See examples/README.md."""
