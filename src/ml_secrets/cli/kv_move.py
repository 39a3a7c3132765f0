"""`ml-secrets kv move` and `copy`. The server does it in one step where it can: an ml-secrets server, among KV 2 mounts.

Elsewhere it is done from here, by reads and writes:

1. read the versions that can be read, oldest first, and the metadata (copy: the newest version alone)
2. write them at the destination, which must not exist yet; they are numbered anew from 1 and dated anew
3. (move) look whether the source has changed meanwhile, and only then remove it with all its versions

A copy that stops half way leaves the source as it was. Between the look and the removal in step 3 a write by somebody
else can be lost: move when nobody writes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from ml_secrets.cli import terminal
from ml_secrets.cli.command import Command
from ml_secrets.cli.complete import kv_paths
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.kv_pages import counted
from ml_secrets.cli.kv_place import Place, find, mount_option
from ml_secrets.cli.kv_secret import read_secret, versioned
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import NotFound

_RULES = ("max_versions", "cas_required", "delete_version_after", "custom_metadata")


@dataclass(slots=True)
class History:
    """A secret as it was read: its readable versions (oldest first), how many were left out, its newest number."""

    versions: list[dict[str, Any]]
    left_out: int
    newest: int
    rules: dict[str, Any]


@click.command(
    "move",
    cls=Command,
    example="ml-secrets kv move app/db team-a/db\nml-secrets kv move --recursive app team-a/app",
)
@click.option("--recursive", "-r", is_flag=True, help="All secrets below SOURCE, to below DESTINATION.")
@click.option(
    "--drop-deleted",
    is_flag=True,
    help="Where the server cannot move: go on although deleted versions are lost by it.",
)
@mount_option
@click.argument("source", shell_complete=kv_paths)
@click.argument("destination", shell_complete=kv_paths)
@session
def move(
    run: Session, source: str, destination: str, mount: str | None, *, recursive: bool, drop_deleted: bool
) -> None:
    """Move a secret with all its versions to another name or mount, which must be free.

    It is done in one step by an ml-secrets server between KV 2 mounts, and needs no right to read. Elsewhere it takes
    several steps, versions are numbered and dated anew, and nobody should write to it meanwhile.
    """
    old, new = find(run, source, mount), find(run, destination, mount, whole_mount=recursive)
    count = by_server(run, "move", old, new, recursive=recursive)
    if count is not None:
        run.done(f"Moved {old.shown} to {new.shown} ({counted(count, 'secret' if recursive else 'version')})")
        return
    history = read_history(run, old)
    if history.left_out and not drop_deleted:
        raise LocalError(
            f"{history.left_out} of its versions are deleted and would be lost",
            hint=f"undelete or destroy them first (ml-secrets kv metadata get {old.shown}), or add --drop-deleted",
        )
    if new.version == 1 and len(history.versions) > 1:
        raise LocalError(
            f"{new.mount}/ is KV 1, which keeps no versions: {len(history.versions) - 1} of them would be lost",
            hint=f"copy the newest one (ml-secrets kv copy {old.shown} {new.shown}), then remove the old place",
        )
    written = write_history(run, new, history)
    if old.version == 2 and _newest(run, old) != history.newest:
        raise LocalError(
            f"{old.shown} was written meanwhile; it stays, and {new.shown} is a copy of its older state",
            hint="remove one of them",
        )
    run.delete(old.path("metadata") if old.version == 2 else old.data)
    run.done(f"Moved {old.shown} to {new.shown} ({counted(written, 'version')})")


@click.command(
    "copy",
    cls=Command,
    example="ml-secrets kv copy app/db app/db-test\nml-secrets kv copy --recursive app test/app",
)
@click.option("--recursive", "-r", is_flag=True, help="All secrets below SOURCE, to below DESTINATION.")
@mount_option
@click.argument("source", shell_complete=kv_paths)
@click.argument("destination", shell_complete=kv_paths)
@session
def copy(run: Session, source: str, destination: str, mount: str | None, *, recursive: bool) -> None:
    """Copy a secret with all its versions to another name or mount, which must be free.

    Where the server cannot (Vault, OpenBao, KV 1), the newest version is copied alone.
    """
    old, new = find(run, source, mount), find(run, destination, mount, whole_mount=recursive)
    count = by_server(run, "copy", old, new, recursive=recursive)
    if count is not None:
        run.done(
            f"Copied {old.shown} to {new.shown} ({counted(count, 'secret' if recursive else 'version')})"
        )
        return
    found = read_secret(run, old).data
    fields = found["data"] if old.version == 2 else found
    write_history(run, new, History([fields], 0, 0, {}))
    run.done(f"Copied {old.shown} to {new.shown} (newest version only)")


def by_server(run: Session, verb: str, old: Place, new: Place, *, recursive: bool) -> int | None:
    """Have the server do it: how many versions (of a folder: secrets) that were. None where it cannot."""
    if old.version != 2 or new.version != 2:
        found = None
    else:
        try:
            found = _pages(run, old.path(verb), {"to": new.name, "mount": new.mount, "recursive": recursive})
        except NotFound as error:
            if not any("versioned K/V" in text for text in error.warnings):
                raise NotFound(
                    f"there is no secret at {old.shown}",
                    hint=f"see what there is: ml-secrets kv list {old.mount}",
                ) from None
            found = None
    if found is None and recursive:
        raise LocalError(
            "--recursive works on an ml-secrets server, between KV 2 mounts",
            hint=f"one at a time: ml-secrets kv list -r {old.shown}",
        )
    return found


def _pages(run: Session, path: str, body: dict[str, Any]) -> int:
    done, after = 0, ""
    while True:
        page = run.write(path, {**body, "after": after}).data
        done += int(page["secrets"] if body["recursive"] else page["versions"])
        after = page.get("next") or ""
        if not after:
            return done


def read_history(run: Session, place: Place) -> History:
    """Every version that can be read, and the rules."""
    if place.version == 1:
        return History([read_secret(run, place).data], 0, 0, {})
    metadata = run.read(place.path("metadata")).data
    entries = sorted((int(number), entry) for number, entry in metadata["versions"].items())
    kept = [number for number, entry in entries if not entry["destroyed"]]
    versions = []
    with terminal.progress(f"Reading {place.shown}", len(kept)) as step:
        for number in kept:
            # A NotFound is a version that is deleted; one whose time is still to come has a deletion_time, too.
            with suppress(NotFound):
                versions.append(read_secret(run, place, number).data["data"])
            step()
    rules = {name: metadata[name] for name in _RULES if metadata.get(name)}
    return History(versions, len(kept) - len(versions), int(metadata["current_version"]), rules)


def write_history(run: Session, place: Place, history: History) -> int:
    """Write versions one after another, each only upon the one before: nobody's write is overwritten. Returns how many."""
    if not history.versions:
        raise LocalError("it has no version that can be read")
    _refuse_existing(run, place)
    if place.version == 1:
        run.write(place.data, history.versions[-1])
        return 1
    if history.rules:  # ahead of the versions, so that each ends after delete_version_after
        run.write(place.path("metadata"), history.rules)
    for number, fields in enumerate(history.versions):
        run.write(place.data, versioned(fields, number))
    return len(history.versions)


def _refuse_existing(run: Session, place: Place) -> None:
    try:
        run.read(place.path("metadata"))
    except NotFound:
        return
    raise LocalError(
        f"there is a secret at {place.shown} already", hint="nothing is overwritten: choose another name"
    )


def _newest(run: Session, place: Place) -> int:
    return int(run.read(place.path("metadata")).data["current_version"])


VERBS = (move, copy)
