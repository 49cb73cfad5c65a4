"""Calls to servers of others, and mail: everything that leaves for the outside goes through here.

`Outbound` is an HTTP client that cannot be talked into calling what is not meant for the outside: see
`pgflow.outbound.connecting`. `Mailer` sends mail through the operator's server. Import them from their modules: the
libraries below are heavy, and most processes never call anybody.
"""
