"""A census of the Python standard library: a task for every module, and one that adds up. See examples/README.md."""
