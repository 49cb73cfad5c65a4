"""Three agents, one after the other: an article is written, its facts are checked, it is made short. See
examples/README.md."""
