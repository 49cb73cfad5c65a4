"""A crawler: one child for each page of a site, found by following links. See examples/README.md."""
