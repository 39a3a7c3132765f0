"""`ml-secrets kv search`: secrets by what they are called. Another server than ml-secrets has none."""

from __future__ import annotations

import click

from ml_secrets.cli import output
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.kv_pages import pages
from ml_secrets.cli.kv_place import find, mount_option
from ml_secrets.cli.session import Session, session


@click.command(
    "search",
    cls=Command,
    example="ml-secrets kv search password\nml-secrets kv search --in metadata owner=ada team-a",
)
@click.option(
    "--in",
    "places",
    multiple=True,
    type=click.Choice(("name", "keys", "metadata")),
    help="Look only there. May be repeated.",
)
@mount_option
@click.argument("query")
@click.argument("path", default="", shell_complete=kv_paths)
@session
def search(run: Session, query: str, path: str, mount: str | None, places: tuple[str, ...]) -> None:
    """Find secrets by name, field name or custom metadata: never by value.

    QUERY is a part of it, in any case; with * (any run of characters) all of it. You find only what you may list or
    read.
    """
    place = find(run, path, mount, whole_mount=True).needs_versions()
    fields = {"query": query, "limit": 1000} | ({"in": ",".join(places)} if places else {})
    found: dict[str, str] = {}
    for page in pages(run, "read", place.path("search"), fields):
        found |= {name: ", ".join(about["matched"]) for name, about in page["key_info"].items()}
    shown = {f"{place.mount}/{name}": where for name, where in found.items()}
    run.show(shown, output.table(("Secret", "Matched in"), list(shown.items())) if shown else "Nothing found")
