"""What can be imported, as secrets: name -> fields. Files in .env, JSON and YAML; another Vault's KV mounts.

A `.env` file is one secret. In JSON and YAML an object that holds anything but objects is a secret, and an object of
objects is a folder; so one object may be a single secret or a whole tree, and what `export` writes comes back the same.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.cli import terminal
from ml_secrets.cli.arguments import BYTE_ORDER_MARK, file_text, json_object
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.import_yaml import yaml_object
from ml_secrets.cli.kv_place import Place, find
from ml_secrets.cli.session import Session
from ml_secrets.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotenv.parser import Binding

    from ml_secrets.sensitive import Sensitive

Secrets = dict[str, dict[str, Any]]
KINDS: Final = ("env", "json", "yaml")
_ENDINGS: Final = {".env": "env", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}


def from_file(source: str, kind: str | None) -> Secrets:
    """The secrets in a file, or on stdin (-). The name "" is the destination itself."""
    text = terminal.stdin_text() if source == "-" else file_text(source)
    text = text.removeprefix(BYTE_ORDER_MARK)
    kind = kind or next((kind for ending, kind in _ENDINGS.items() if source.endswith(ending)), None)
    if kind is None:
        raise LocalError("what kind of file is it?", hint=f"say --as {'|'.join(KINDS)}")
    if kind == "env":
        fields = _env(text, source)
        return {"": fields} if fields else {}
    return dict(
        _leaves("", json_object(text, source) if kind == "json" else yaml_object(text, source), source)
    )


def _env(text: str, source: str) -> dict[str, Any]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - only imports need it

    found: dict[str, Any] = {}
    for binding in parse_stream(StringIO(text)):
        place = f"{source}, line {_line_of(binding)}"
        if binding.error or (binding.key is not None and binding.value is None):
            # Not quoted: it may be a value that lost its key, or a line out of an unquoted private key.
            raise LocalError(
                f"{place}: this is not KEY=value",
                hint="write KEY=value, and put a value of several lines in quotes",
            )
        if binding.key in found:
            raise LocalError(f"{place}: this key is there already", hint="keep one of the two")
        if binding.key is not None:
            found[binding.key] = binding.value
    return found


def _line_of(binding: Binding) -> int:
    """The line that a binding is on: what was read for it may begin with empty lines."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _leaves(name: str, node: dict[Any, Any], source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not all(isinstance(key, str) and key for key in node):
        raise LocalError(f"{source}: a key under {name or 'the top'} is not text", hint="put it in quotes")
    if node and all(isinstance(value, dict) for value in node.values()):
        for key, below in node.items():
            yield from _leaves(f"{name}/{key}".strip("/"), below, source)
    elif node:
        yield name, node


# ── another Vault ───────────────────────────────────────────────────────────────────────────────────────────────────


def from_vault(url: str, token: Sensitive, path: str, namespace: str | None) -> Secrets:
    """The newest version of every secret under a path of another server, KV 1 or 2."""
    from ml_secrets.cli.connection import client_of  # noqa: PLC0415 - help loads no client

    run = Session()
    run.use(client_of(url, token, namespace=namespace or ""))
    top = find(run, path, None, whole_mount=True)
    names = _names(run, top)
    found: Secrets = {}
    with terminal.progress(f"Reading {top.shown}", len(names)) as step:
        for name in names:
            fields = _newest(run, top.below(name) if name else top)
            if fields is not None:
                found[name] = fields
            step()
    return found


def _names(run: Session, top: Place) -> list[str]:
    """Everything below, and the place itself where it is a secret."""
    try:
        below = run.tree(top.keys)
    except NotFound:
        below = []
    return below + ([""] if top.name and _newest(run, top) is not None else [])


def _newest(run: Session, place: Place) -> dict[str, Any] | None:
    try:
        found = run.read(place.data).data
    except NotFound:  # deleted, or a folder
        return None
    return found.get("data") if place.version == 2 else found
