"""YAML as `ml-secrets import` takes it: what JSON can say keeps its type, everything else stays the text that was written.

Dates, on/off, 0o17 and 1_000 are text. What would not arrive as it was written is refused, as in JSON: a key given
twice, a number with more digits than a float keeps, and YAML's own types such as !!binary and !!set.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ml_secrets.cli.arguments import exact
from ml_secrets.cli.failures import LocalError

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = (
    ("bool", list("tf"), r"(?:true|false)$"),
    ("null", ["n", "~", ""], r"(?:null|~|)$"),
    ("int", list("-0123456789"), r"-?(?:0|[1-9][0-9]*)$"),
    ("float", list("-0123456789"), r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)(?:e[-+][0-9]+)?$"),
    ("merge", ["<"], r"<<$"),
)
_MOST: Final = 1_000_000
_TYPES: Final = ("bool", "null", "int", "str", "seq", "map")


def yaml_object(text: str, source: str) -> dict[str, Any]:
    """The map that a YAML document is. The errors name lines, never values."""
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise LocalError("YAML needs PyYAML", hint="pip install 'ml-secrets[yaml]'") from None
    try:
        document = yaml.load(text, Loader=_plain_loader(yaml))  # noqa: S506 - a SafeLoader with fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
    except RecursionError:
        place = " (nested too deeply)"
    except ValueError:
        raise LocalError(
            f"{source} holds a number that cannot be taken as it is", hint="write it as text, in quotes"
        ) from None
    else:
        if isinstance(document, dict):
            if _written_out(document, {}) > _MOST:
                raise LocalError(
                    f"{source}: its aliases stand for more than {_MOST} values",
                    hint="write out what is meant, in several files if need be",
                )
            return document
        raise LocalError(f"{source} holds YAML, but no map of keys", hint="a map looks like key: value")
    raise LocalError(
        f"{source} is not valid YAML{place}", hint="look at that line; tags such as !!binary are not taken"
    )


def _written_out(node: Any, known: dict[int, int]) -> int:
    """How many values a document has once its aliases are written out, worked out without doing so."""
    if not isinstance(node, dict | list):
        return 1
    if known.get(id(node)) == 0:
        raise LocalError(
            "a YAML alias stands for what it is itself a part of", hint="write out what is meant"
        )
    if id(node) not in known:
        known[id(node)] = 0
        below = node.values() if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_written_out(part, known) for part in below)
    return known[id(node)]


def _plain_loader(yaml: Any) -> Any:
    known = yaml.SafeLoader.yaml_constructors
    types = {name: known[name] for name in [None, *(_TAG + name for name in _TYPES)]}

    class PlainLoader(yaml.SafeLoader):  # type: ignore[misc]  # an extra, known only when it is loaded
        yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - the library's own attribute
        yaml_constructors: Any = types

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [(key.tag, str(key.value)) for key, _ in node.value]
            if len(set(keys)) != len(keys):
                raise LocalError(
                    f"a YAML map has the same key twice (it begins in line {node.start_mark.line + 1})",
                    hint="keep one of the two",
                )
            return super().construct_mapping(node, deep)

    for name, first, pattern in _SCALARS:
        PlainLoader.add_implicit_resolver(_TAG + name, re.compile(pattern, re.ASCII), first)
    PlainLoader.add_constructor(f"{_TAG}float", lambda loader, node: exact(loader.construct_scalar(node)))
    return PlainLoader
