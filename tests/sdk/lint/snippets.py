"""Short ways to write a workflow and to ask the linter about it."""

from __future__ import annotations

from textwrap import dedent, indent

from pgflow.sdk.lint import Finding, lint_source

IMPORTS = """\
import asyncio, collections, concurrent.futures, contextlib, datetime, functools, glob, httpx, io, json, logging, os
import os.path, pathlib, psycopg, random, requests, secrets, shutil, smtplib, socket, sqlite3, subprocess, sys, tempfile
import threading, time, urllib.request, uuid
import boto3
import pgflow
import numpy as np
from pathlib import Path
from pgflow import App, Context, SyncContext
app = App()
"""


def module(text: str) -> list[Finding]:
    """The findings of a module that begins with all the imports."""
    return lint_source(IMPORTS + dedent(text), "flow.py")


def body(text: str, *, before: str = "", plain: bool = False) -> list[Finding]:
    """The findings of a workflow with this body, below what stands before it."""
    word = "def" if plain else "async def"
    kind = "SyncContext" if plain else "Context"
    head = f"{dedent(before)}\n@app.workflow(queue='q')\n{word} flow(ctx: {kind}, given):\n"
    return lint_source(IMPORTS + head + indent(dedent(text), "    ") + "\n    return 1\n", "flow.py")


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]
