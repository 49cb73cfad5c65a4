"""Node types: one a file, and the run of a graph that they are parts of.

`base` says what a node type is; `kit` knows which there are, those of other packages included (entry point
`pgflow.nodes`); `running` is a graph being run.
"""
