"""`ml-secrets kv`: secrets with versions. Reading, writing and listing are here; the verbs on versions in kv_versions.py."""

from __future__ import annotations

from typing import Any

import click

from ml_secrets.cli import (
    arguments,
    kv_due,
    kv_metadata,
    kv_move,
    kv_search,
    kv_trash,
    kv_versions,
    kv_watch,
    output,
)
from ml_secrets.cli.command import Noun
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.inline import role_options
from ml_secrets.cli.kv_pages import pages
from ml_secrets.cli.kv_place import Place, find, mount_option
from ml_secrets.cli.kv_secret import named, read_secret, show_version, versioned
from ml_secrets.cli.session import Session, by_name, envelope, session
from ml_secrets.errors import NotFound, Unsupported


@click.group(
    "kv",
    cls=Noun,
    example="ml-secrets kv put app/db user=ada password=-\nml-secrets kv get --field password app/db",
)
def kv() -> None:
    """Secrets with versions: get, put, patch, list, roll back, move, compare."""


@kv.verb("get", example="ml-secrets kv get app/db\nml-secrets kv get --field password --version 2 app/db")
@click.option("--version", type=click.IntRange(1), help="An older version.")
@mount_option
@role_options
@click.argument("path", shell_complete=kv_paths)
@session
def get(run: Session, path: str, mount: str | None, version: int | None) -> None:
    """Print a secret."""
    place = find(run, path, mount)
    answer = read_secret(run, place, version)
    if place.version == 1:
        run.show(envelope(answer), output.pairs(by_name(answer.data)), fields=answer.data)
        return
    data, metadata = answer.data.get("data") or {}, answer.data.get("metadata") or {}
    text = f"{output.section(place.shown, output.pairs(by_name(metadata)))}\n\n{output.pairs(by_name(data))}"
    run.show(envelope(answer), text, fields={**data} if data else {})


@kv.verb(
    "put",
    example="ml-secrets kv put app/db user=ada password=-      # password from stdin\nml-secrets kv put app/db user=ada password=?      # password asked for\nml-secrets kv put app/tls key=@key.pem\nml-secrets kv put app/db @secret.json",
)
@click.option(
    "--cas",
    type=click.IntRange(0),
    metavar="VERSION",
    help="Only if this is the present version; 0: only if there is none.",
)
@mount_option
@click.argument("path", shell_complete=kv_paths)
@click.argument("data", nargs=-1, required=True, metavar="KEY=VALUE | @FILE.json | -")
@session
def put(run: Session, path: str, data: tuple[str, ...], mount: str | None, cas: int | None) -> None:
    """Write a secret: a new version that holds just these fields (`patch` keeps the others).

    A value of - is read from stdin, @FILE from a file, ? is asked for without echo.
    """
    place = find(run, path, mount)
    fields = arguments.data(data)
    if place.version == 1:
        if cas is not None:
            place.needs_versions()
        run.write(place.data, fields)
        run.done(f"Written: {place.shown}")
        return
    show_version(run, place, run.write(place.data, versioned(fields, cas), wrap=True))


@kv.verb("patch", example="ml-secrets kv patch app/db password=-")
@click.option("--cas", type=click.IntRange(1), metavar="VERSION", help="Only if this is the present version.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@click.argument("data", nargs=-1, required=True, metavar="KEY=VALUE | @FILE.json | -")
@session
def patch(run: Session, path: str, data: tuple[str, ...], mount: str | None, cas: int | None) -> None:
    """Change some fields of a secret and keep the others. From JSON, null removes a field."""
    place = find(run, path, mount)
    fields = arguments.data(data)
    if place.version == 1:
        if cas is not None:
            place.needs_versions()
        _patch_fields(run, place, fields)
        run.done(f"Written: {place.shown}")
        return
    with named(place):
        answer = run.patch(place.data, versioned(fields, cas), wrap=True)
    show_version(run, place, answer)


def _patch_fields(run: Session, place: Place, fields: dict[str, Any]) -> None:
    """Patch a secret of KV 1. Where the server cannot, read it and write it back: a write in between is lost."""
    try:
        run.patch(place.data, fields)
    except Unsupported:
        merged = {**run.read(place.data).data, **fields}
        run.write(place.data, {name: value for name, value in merged.items() if value is not None})


@kv.verb(
    "list",
    example="ml-secrets kv list app\nml-secrets kv list --recursive --mount team-a\nml-secrets kv list -r --filter '*/db' secret",
)
@click.option("--recursive", "-r", is_flag=True, help="Go down into folders.")
@click.option(
    "--depth", type=click.IntRange(1), metavar="N", help="Go down so many levels (ml-secrets servers)."
)
@click.option(
    "--filter",
    "only",
    metavar="PATTERN",
    help="Only names that fit; * is any run of characters (ml-secrets servers).",
)
@mount_option
@click.argument("path", default="", shell_complete=kv_paths)
@session
def list_(
    run: Session, path: str, mount: str | None, depth: int | None, only: str | None, *, recursive: bool
) -> None:
    """List the names of secrets. Folders end in /."""
    place = find(run, path, mount, whole_mount=True)
    if depth or only:
        fields = {name: value for name, value in (("depth", depth), ("filter", only)) if value}
        verb = "scan" if recursive or depth else "list"
        run.show_keys([name for page in pages(run, verb, place.keys, fields) for name in page["keys"]])
        return
    try:
        run.show_keys(run.tree(place.keys) if recursive else run.keys(place.keys))
    except NotFound:
        raise NotFound(
            f"there is nothing under {place.shown}/",
            hint=f"see what there is: ml-secrets kv list {place.mount}"
            if place.name
            else "write a secret: ml-secrets kv put",
        ) from None


@kv.verb("delete", example="ml-secrets kv delete app/db\nml-secrets kv delete --versions 2,3 app/db")
@click.option("--versions", metavar="N,…", help="These versions. Default: the newest.")
@mount_option
@click.argument("path", shell_complete=kv_paths)
@session
def delete(run: Session, path: str, mount: str | None, versions: str | None) -> None:
    """Delete a secret's newest version. `undelete` brings it back (not with KV 1)."""
    place = find(run, path, mount)
    if versions:
        run.write(place.needs_versions().path("delete"), {"versions": kv_versions.numbers(versions)})
    else:
        run.delete(place.data)
    run.done(f"Deleted, if it was there: {place.shown}")


for part in (
    *kv_versions.VERBS,
    *kv_move.VERBS,
    kv_metadata.metadata,
    kv_trash.trash,
    kv_search.search,
    kv_due.due,
    kv_watch.watch,
):
    kv.add_command(part)
