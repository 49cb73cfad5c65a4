"""What the clients' registries have in common: each module holds the verbs about one noun, in both colours."""
