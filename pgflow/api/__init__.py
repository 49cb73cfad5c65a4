"""The REST API: everything that the command line and the dashboard can do, over HTTP.

`pgflow.api.routes` has all routes on one screen, `pgflow.api.operation` says how a responder is written.
"""

from __future__ import annotations
