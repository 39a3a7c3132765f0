"""What to say to who asked for the wrong path: the one they may have meant, or where the names are that there are.

A hint knows no more than who asks: what their own rights name, how the paths of an engine are built, and what the request
itself says. Nobody learns from one what a store holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets.contract.operation import Verb
from ml_secrets.domain.capability import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml_secrets.contract.engine import Engine
    from ml_secrets.contract.request import Request
    from ml_secrets.domain.acl import Acl
    from ml_secrets.domain.mount import Mount
    from ml_secrets.pipeline.visit import Visit

_FOLDERS: Final = (Verb.LIST, Verb.SCAN)
_WRITES: Final = frozenset({Capability.CREATE, Capability.UPDATE})
_PARTS: Final = ("data", "metadata")
"""What stands in front of a name in KV version 2."""


def meant(visit: Visit, acl: Acl, needed: Capability) -> str:
    """For who was refused: a path near by that their rights allow, and that the engine has. Empty where there is none."""
    wanted = _WRITES if needed in _WRITES else {needed}
    for path in _near(visit):
        if acl.rights(path) & wanted:
            return f"did you mean {path}? Your policies allow that"
    return ""


def nothing(visit: Visit) -> str:
    """For who may ask, and where nothing is: what to look at next."""
    request, mount, engine = visit.request, visit.route.mount, visit.route.engine
    if mount is None or engine is None:
        return ""
    if request.verb in _FOLDERS:
        return "no names are below it; a name without a slash at its end is no folder, but can be read"
    near = next(_near(visit), "") if not is_kv(mount, "2") else _named_twice(request.path, mount)
    if near:
        return f"did you mean {near}? {mount.path} is a KV version {_version(mount)} mount"
    if "version" in request.fields:
        return "leave the version out for the newest one there is"
    folder = _listed(request.path, mount, engine)
    return f"see the names there are: `ml-secrets list {folder}`" if folder else ""


def is_kv(mount: Mount, version: str) -> bool:
    """It is a KV mount of that version."""
    return mount.kind == "kv" and _version(mount) == version


def in_part(path: str, mount: Mount, verb: Verb) -> str:
    """The path of a name in KV version 2, for who left `data/` out."""
    folder = "metadata" if verb in _FOLDERS else "data"
    return f"{mount.path}{folder}/{path[len(mount.path) :]}"


def _version(mount: Mount) -> str:
    return (mount.options or {}).get("version") or "1"


def _near(visit: Visit) -> Iterator[str]:
    """Other paths of the same mount that are spelled almost so, the commonest slip first."""
    request, mount, engine = visit.request, visit.route.mount, visit.route.engine
    if request.path.startswith("v1/"):
        yield request.path.removeprefix("v1/")
    if mount is None or engine is None:
        return
    for path in dict.fromkeys(_spelled(request, mount)):
        if path != request.path and engine.match(path[len(mount.path) :], request.verb)[0] is not None:
            yield path


def _spelled(request: Request, mount: Mount) -> Iterator[str]:
    path, (part, _, rest) = request.path, request.path[len(mount.path) :].partition("/")
    if is_kv(mount, "2"):
        if part not in _PARTS:
            yield in_part(path, mount, request.verb)
        if part == "data" and request.verb in _FOLDERS:
            yield f"{mount.path}metadata/{rest}".rstrip("/")
        yield _named_twice(path, mount) or path
    elif is_kv(mount, "1") and part in _PARTS and rest:
        yield mount.path + rest
    yield mount.path + path[len(mount.path) :].lower()


def _named_twice(path: str, mount: Mount) -> str:
    """The path without a `data/`, or the mount, that stands in front of a name again; empty where none does."""
    part, _, name = path[len(mount.path) :].partition("/")
    for twice in (f"{part}/", mount.path):
        if part in _PARTS and name.startswith(twice) and name != twice:
            return f"{mount.path}{part}/{name.removeprefix(twice)}"
    return ""


def _listed(path: str, mount: Mount, engine: Engine) -> str:
    """The nearest folder above that can be listed; empty where there is none."""
    below = path[len(mount.path) :]
    if is_kv(mount, "2") and below.startswith("data/"):
        below = "meta" + below
    while below:
        below = below.rpartition("/")[0]
        if engine.match(below, Verb.LIST)[0] is not None:
            return f"{mount.path}{below}".rstrip("/")
    return ""
