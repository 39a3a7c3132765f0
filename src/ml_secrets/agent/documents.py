"""Files that programs read already (.env, JSON, YAML), with references in place of values: the delivered copy has the values.

Only what is a reference, or holds one, is written anew; the rest, with comments, order and quotes, stays byte for byte. In
JSON and YAML a value that is one reference becomes what the field is (text, number, a whole object); keys are left alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent import formats
from ml_secrets.agent.job import plain_text
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.texts import Text

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_DEEPEST: Final = 100
_KEY: Final = re.compile(r"\s*:")
_BEFORE: Final = re.compile(r"\s*(?:export\s+)?")


@dataclass(frozen=True, slots=True, repr=False)
class Span:
    """A value in the file's text, from `start` to `end`, that references go into. `lead` stays before it, `tail` after it."""

    start: int
    end: int
    text: Text
    lead: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A file's text with the places that are to be filled."""

    kind: str
    source: str
    spans: tuple[Span, ...]

    @classmethod
    def parse(cls, source: str, kind: str, name: str) -> Document:
        """Find the references. Raises `Invalid` that names the file and the line, never what stands there."""
        return cls(kind, source, tuple(_READERS[kind](source, name)))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, in order."""
        return tuple(reference for span in self.spans for reference in span.text.references)

    def filled(self, values: Mapping[Reference, Value]) -> Sensitive:
        """The file's text with the values in place."""
        pieces, at = [], 0
        for span in self.spans:
            pieces += [self.source[at : span.start], span.lead, self._written(span.text, values), span.tail]
            at = span.end
        return Sensitive("".join([*pieces, self.source[at:]]))

    def _written(self, text: Text, values: Mapping[Reference, Value]) -> str:
        if self.kind == "dotenv":
            return formats.quoted(text.filled(values).reveal())
        if text.whole is None:
            written = formats.json_text(text.filled(values).reveal())
        else:
            written = values[text.whole].json.reveal()
        return formats.yaml_of(written) if self.kind == "yaml" else written


def _line(source: str, at: int) -> int:
    return source.count("\n", 0, at) + 1


# ── .env ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def variables(source: str, name: str) -> dict[str, Text]:
    """The variables of a .env file, with `${NAME}` filled in as python-dotenv does. Raises `Invalid`."""
    from dotenv import dotenv_values  # noqa: PLC0415 - most jobs have no such file
    from dotenv.parser import parse_stream  # noqa: PLC0415 - as above

    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(source)):
        text = binding.original.string
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise Invalid(
                f"{name}, line {line}: this is not KEY=value", hint="put a value of several lines in quotes"
            )
        if binding.key is not None:
            lines[binding.key] = line
    found = dotenv_values(stream=StringIO(source))
    return {key: plain_text(found[key] or "", f"{name}, line {line} ({key})") for key, line in lines.items()}


def _dotenv(source: str, name: str) -> Iterator[Span]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 - as above

    known, at = variables(source, name), 0
    for binding in parse_stream(StringIO(source)):
        written = binding.original.string
        start, at = at, at + len(written)
        if binding.key is not None and known[binding.key].references:
            before = _BEFORE.match(written)
            lead = f"{before[0] if before else ''}{binding.key}="
            yield Span(start, at, known[binding.key], lead, "\n" if written.endswith("\n") else "")


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _json(source: str, name: str) -> Iterator[Span]:
    try:
        json.loads(source)
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}, column {error.colno}"
    except (RecursionError, ValueError):
        problem = "nested too deeply, or a number too long"
    else:
        problem = ""
    if problem:
        raise Invalid(
            f"{name} is not valid JSON ({problem})", hint="look there for a missing quote, comma or brace"
        )
    for token in _STRING.finditer(source):
        if _KEY.match(source, token.end()):
            continue
        text = plain_text(json.loads(token[0]), f"{name}, line {_line(source, token.start())}")
        if text.references:
            yield Span(token.start(), token.end(), text)


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _yaml(source: str, name: str) -> Iterator[Span]:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise Invalid("YAML needs PyYAML", hint="pip install 'ml-secrets[yaml]'") from None
    try:
        _check_depth(yaml.parse(source, Loader=yaml.SafeLoader), yaml)
        tokens = list(yaml.scan(source, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "nested too deeply"
        tokens = None
    if tokens is None:
        raise Invalid(f"{name} is not valid YAML ({place})", hint="look there for a missing quote or colon")
    key = False
    for token in tokens:
        if isinstance(token, yaml.ScalarToken) and not key:
            start, end = token.start_mark.index, token.end_mark.index
            text = plain_text(token.value, f"{name}, line {token.start_mark.line + 1}")
            if text.references:
                yield Span(start, end, text, tail="\n" if source[start:end].endswith("\n") else "")
        key = isinstance(token, yaml.KeyToken) or (
            key and isinstance(token, yaml.TagToken | yaml.AnchorToken)
        )


def _check_depth(events: Iterator[Any], yaml: Any) -> None:
    """Raises `RecursionError` where collections lie in each other too deeply: the parser itself would take for ever."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError


_READERS: Final[dict[str, Callable[[str, str], Iterator[Span]]]] = {
    "dotenv": _dotenv,
    "json": _json,
    "yaml": _yaml,
}
