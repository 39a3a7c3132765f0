"""The same raw requests to two servers. What is sent stands in `requests/*.txt`, one request a line:

    [@who] METHOD path [Header=value ...] [body] [=> name=where.in.the.answer]

`who` is a token learnt by an earlier line of the same file (`root` at first, `none` sends no token). `{name}` in a path,
header or body is what an earlier line learnt; headers are percent-encoded. A body is the rest of the line from ` | ` on, sent as it stands.

Answers are compared by status and by what the body is once all that changes from run to run is taken out.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).parent
FILES = sorted((HERE / "requests").glob("*.txt"))
DIFFERENT = tomllib.loads((HERE / "differences.toml").read_text())
KEY_HEADERS = ("Cache-Control", "Retry-After", "Location", "Allow", "WWW-Authenticate")
# Error texts that programs and people are known to look for; other texts are our own.
PHRASES = tuple(DIFFERENT["phrases"])
_PATIENCE = 200
_LINE = re.compile(
    r"(?:@(?P<who>[\w<>]+) )?(?P<method>[A-Z]+) (?P<path>\S+)(?P<headers>(?: [\w-]+=\S*)*)"
    r"(?: \| (?P<body>.*?))?(?: => (?P<name>\w+)=(?P<where>[\w.\-]+))?"
)
# Members whose value is another on every run, or in every build: texts among them are compared by type.
VOLATILE = frozenset(DIFFERENT["volatile"])
_MADE = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?:kv|cubbyhole|system|ns_system|approle|userpass|token|identity)_[0-9a-f]{8}\b"
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=/)[A-Za-z0-9]{24,}\b"
)


@dataclass(slots=True)
class Line:
    """One request of a file."""

    text: str
    who: str
    method: str
    path: str
    headers: dict[str, str]
    body: str
    name: str
    where: str


@dataclass(slots=True)
class Answer:
    """What came back: the body's form, the error texts apart, and the headers that steer a client."""

    status: int
    form: object
    errors: str
    media_type: str
    headers: dict[str, str | None]


@dataclass(slots=True)
class Side:
    """One of the two servers, and what was learnt from it."""

    url: str
    learnt: dict[str, str] = field(default_factory=dict)

    def ask(self, line: Line) -> Answer:
        """Send the line's request and read the answer. OpenBao remounts in the background: who asks about it asks until it is done."""
        raw = b""
        for _ in range(_PATIENCE):
            try:
                answer, raw = self._send(line)
            except (
                ConnectionError
            ):  # OpenBao ends some answers before they begin: a status of 99, asked of sys/health
                return Answer(0, None, "", "", {})
            if b'"status":"in-progress"' not in raw:
                break
            time.sleep(0.05)
        found = _read(raw)
        if line.name:
            self.learnt[line.name] = _inside(found, line.where) or self.learnt.get(line.name, "")
        errors = found.pop("errors", []) if isinstance(found, dict) else []
        if isinstance(found, dict):
            found.pop("hint", None)  # beside the errors, what to do next: ours alone
        known = sorted(self.learnt.items(), key=lambda pair: -len(pair[1]))
        return Answer(
            answer.status,
            form(found or None, known),
            " ".join(errors),
            answer.getheader("Content-Type", ""),
            {name: answer.getheader(name) for name in KEY_HEADERS},
        )

    def _send(self, line: Line) -> tuple[http.client.HTTPResponse, bytes]:
        host = urlsplit(self.url)
        connection = http.client.HTTPConnection(host.hostname, host.port, timeout=30)
        headers = {"X-Vault-Request": "true", **{k: self._fill(v) for k, v in line.headers.items()}}
        if line.who != "none":
            headers["X-Vault-Token"] = self.learnt[line.who]
        body = self._fill(line.body).encode(errors="surrogateescape")
        try:
            connection.request(line.method, "/v1/" + self._fill(line.path), body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _fill(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.learnt.get(match[1], match[0]), text)


def differences(file: Path, ours: Side, theirs: Side) -> dict[str, str]:
    """Send every request of a file to both; the lines whose answers differ, each with what differs."""
    found = {}
    for line in lines(file):
        here, there = ours.ask(line), theirs.ask(line)
        said = unlike(here, there, file.stem)
        if said:
            found[line.text] = said
    return found


def lone(area: str, side: str) -> set[str]:
    """Members of answers that only this side has, on purpose."""
    return {
        name
        for entry in DIFFERENT["member"]
        if entry["only"] == side and area in entry.get("areas", [area])
        for name in entry["names"]
    }


def unlike(here: Answer, there: Answer, area: str) -> str:
    """What differs between two answers; "" when a client would not notice."""
    if here.status != there.status:
        return f"status {here.status} {here.errors!r}, theirs {there.status} {there.errors!r}"
    if here.status != 204 and here.media_type != there.media_type and there.form is not None:
        return f"media type {here.media_type!r}, theirs {there.media_type!r}"
    for name in KEY_HEADERS:
        if here.headers.get(name) != there.headers.get(name):
            return f"header {name} {here.headers.get(name)!r}, theirs {there.headers.get(name)!r}"
    for phrase in PHRASES:
        if phrase in there.errors and phrase not in here.errors:
            return f"error {here.errors!r}, theirs {there.errors!r}"
    return "; ".join(_unlike(here.form, there.form, (lone(area, "ours"), lone(area, "theirs"))))


def _unlike(here: object, there: object, alone: tuple[set[str], set[str]], where: str = "") -> list[str]:
    if isinstance(here, dict) and isinstance(there, dict):
        found = []
        for name in sorted(here.keys() | there.keys()):
            if name not in there:
                found += [] if name in alone[0] else [f"{where}{name} is only here"]
            elif name not in here:
                found += [] if name in alone[1] else [f"{where}{name} is only there"]
            else:
                found += _unlike(here[name], there[name], alone, f"{where}{name}.")
        return found
    if where.endswith("warnings."):
        here, there = len(here or ()), len(there or ())
    return [] if here == there else [f"{where} {here!r}, theirs {there!r}"]


def lines(file: Path) -> list[Line]:
    """The requests of a file, in order."""
    return parse(file.read_text(), file.name)


def parse(content: str, name: str) -> list[Line]:
    """The requests of a text, in order; `name` is for errors."""
    found = []
    for number, text in enumerate(content.splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{name}:{number}: not a request: {text}")
        pairs = (pair.partition("=") for pair in (match["headers"] or "").split())
        headers = {header: unquote(value) for header, _, value in pairs}
        found.append(
            Line(
                text,
                match["who"] or "root",
                match["method"],
                match["path"],
                headers,
                match["body"] or "",
                match["name"] or "",
                match["where"] or "",
            )
        )
    return found


def form(value: object, learnt: list[tuple[str, str]] = (), name: str = "") -> object:
    """A body without what changes from run to run: such values are only their type."""
    if isinstance(value, dict):
        return {_still(key, learnt): form(part, learnt, key) for key, part in value.items()}
    if isinstance(value, list):
        return [form(part, learnt, name) for part in value]
    if name in VOLATILE and value and (name, type(value)) != ("version", int):
        return type(value).__name__
    return _still(value, learnt) if isinstance(value, str) else value


def _still(text: str, learnt: list[tuple[str, str]]) -> str:
    for name, value in learnt:
        if name != "root" and value:
            text = text.replace(value, f"{{{name}}}")
    return _MADE.sub("<made>", text)


def _read(raw: bytes) -> object:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return {"text": raw.decode(errors="replace")[:80]}


def _inside(found: object, where: str) -> str:
    for part in where.split("."):
        found = found[int(part)] if isinstance(found, list) else (found or {}).get(part)
    return "" if found is None else str(found)
