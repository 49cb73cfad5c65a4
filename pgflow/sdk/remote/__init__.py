"""The clients that talk to the REST API instead of the database. `RemoteClient` has the verbs of `Client`."""
