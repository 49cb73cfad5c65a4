from __future__ import annotations

from pgflow.cli import main

main(prog_name="pgflow")
