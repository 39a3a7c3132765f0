"""One secret over the API: reading a version, writing a version, showing what came of it. For the verbs of kv."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ml_secrets.cli import output
from ml_secrets.cli.session import by_name, envelope
from ml_secrets.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.cli.kv_place import Place
    from ml_secrets.cli.session import Session
    from ml_secrets.client import Answer


def read_secret(run: Session, place: Place, version: int | None = None) -> Answer:
    """A version's answer. One that was deleted is said to be so, with the way back."""
    if version and place.version == 1:
        place.needs_versions()
    with named(place, version):
        return run.read(place.data, {"version": version} if version else None, wrap=True)


@contextmanager
def named(place: Place, version: int | None = None) -> Iterator[None]:
    """What is not found inside is this secret: it is told so, and not by the path of the API."""
    try:
        yield
    except NotFound as error:
        raise _explain_missing(place, version, error.data or {}) from None


def current_version(run: Session, place: Place) -> int:
    """The number of the newest version."""
    with named(place):
        return int(run.read(place.path("metadata")).data["current_version"])


def _explain_missing(place: Place, version: int | None, data: Any) -> NotFound:
    metadata = data.get("metadata") or {}
    number = metadata.get("version") or version
    if metadata.get("destroyed"):
        return NotFound(
            f"version {number} of {place.shown} was destroyed",
            hint=f"see what is left: ml-secrets kv metadata get {place.shown}",
        )
    if metadata.get("deletion_time"):
        return NotFound(
            f"version {number} of {place.shown} is deleted",
            hint=f"bring it back: ml-secrets kv undelete --versions {number} {place.shown}",
        )
    what = f"version {version} of {place.shown}" if version else f"secret at {place.shown}"
    if place.name.startswith("data/"):
        hint = f"leave data/ out: ml-secrets kv get {place.mount}/{place.name.removeprefix('data/')}"
    elif version:
        hint = f"see which there are: ml-secrets kv metadata get {place.shown}"
    else:
        hint = f"see what there is: ml-secrets kv list {place.mount}"
    return NotFound(f"there is no {what}", hint=hint)


def same(one: Any, other: Any) -> bool:
    """Are these the same values? 1 and true are not, although Python calls them equal."""
    return one == other and output.as_line(one, ordered=True) == output.as_line(other, ordered=True)


def versioned(fields: dict[str, Any], cas: int | None) -> dict[str, Any]:
    """The body of a KV 2 write."""
    return {"data": fields, "options": {} if cas is None else {"cas": cas}}


def show_version(run: Session, place: Place, answer: Answer) -> None:
    """Show which version a write made."""
    run.show(
        envelope(answer), output.section(place.shown, output.pairs(by_name(answer.data))), fields=answer.data
    )
