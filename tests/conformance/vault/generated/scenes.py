"""Requests made at random from scenes/*.txt, and sent to two servers in the same order.

A scene file has lines as those of the sweep (sweep.py), with holes `<word>`: first what sets a scene, then what is asked
in it, then what takes it down. A scene made from it asks some of its lines, filled from words.py, with fields left out,
and now and then made hostile by spoil.py. The same seed makes the same requests.
"""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import unquote

from tests.conformance.vault.generated.spoil import SPOILERS
from tests.conformance.vault.generated.words import word
from tests.conformance.vault.sweep.sweep import Answer, Line, Side, parse, unlike

HERE = Path(__file__).parent
FILES = sorted((HERE / "scenes").glob("*.txt"))
INTENDED = tomllib.loads((HERE / "differences.toml").read_text())["difference"]
ASKED = 14
"""Requests of a scene, beside those that set it."""
READS = frozenset({"GET", "LIST", "SCAN", "HEAD"})
FREE = frozenset({"root", "none", "unknown", "empty"})
"""Whose reads spend nothing."""
_HOLE = re.compile(r"<(\w+)>")


@dataclass(slots=True)
class Made(Line):
    """A request made; `marks` names what is odd or hostile about it."""

    marks: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        headers = "".join(f" {name}={value}" for name, value in self.headers.items())
        return f"@{self.who} {self.method} {self.path}{headers} | {self.body[:300]} [{' '.join(sorted(self.marks))}]"


@dataclass(slots=True)
class Found:
    """What a run found: how many requests, their marks and statuses, the differences by the name of their reason."""

    asked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    intended: Counter[str] = field(default_factory=Counter)
    unforeseen: list[str] = field(default_factory=list)


def play(area: Path, seed: int, ours: str, theirs: str, token: str, found: Found) -> None:
    """One scene. It ends where the two did differently on purpose what may change a state: what follows would differ, too."""
    dice, name = Random(f"{area.stem} {seed}"), f"g-{area.stem}-{seed}"
    first, then, last = (parse(part, area.name) for part in re.split("# (?:then|last)\n", area.read_text()))
    known = {"root": token, "unknown": "unknown-token", "empty": "", "none": ""}
    sides = [Side(url, dict(known)) for url in (ours, theirs)]
    for line in first:
        set_up(fill(dice, line, name, hostile=False), sides, area.stem)
    for _ in range(ASKED):
        made = fill(dice, dice.choice(then), name, hostile=True)
        reason = compare(made, sides, name, found)
        if reason is not None and (made.method not in READS or made.who not in FREE):
            break
    for line in last:
        for side in sides:
            side.ask(fill(dice, line, name, hostile=False))


def set_up(made: Made, sides: list[Side], area: str) -> None:
    """Ask what sets a scene; OpenBao's new KV mounts refuse everything for a moment."""
    here, there = (side.ask(made) for side in sides)
    patience = 200
    while there.status >= 400 and "unavailable for a brief period" in there.errors and patience:
        time.sleep(0.05)
        there, patience = sides[1].ask(made), patience - 1
    said = unlike(here, there, area)
    assert not said, f"{made}: {said}"


def compare(made: Made, sides: list[Side], scene: str, found: Found) -> str | None:
    """None when both answered alike; else the name of the reason, "" where there is none."""
    here, there = (side.ask(made) for side in sides)
    found.asked += 1
    found.statuses[here.status] += 1
    found.marks.update(made.marks or {"plain"})
    area = scene.split("-")[1]
    said = unlike(here, there, area)
    if not said:
        return None
    for entry in INTENDED:
        if applies(entry, made, here, there, said, area):
            found.intended[entry["name"]] += 1
            return str(entry["name"])
    found.unforeseen.append(f"{scene}: {made}\n    {said}")
    return ""


def applies(entry: dict, made: Made, here: Answer, there: Answer, said: str, area: str) -> bool:
    """Whether a listed difference is this one: all that the entry names must be so, and no fault of ours is ever meant."""
    return (
        0 < here.status < 500
        and area in entry.get("areas", [area])
        and here.status in entry.get("ours", [here.status])
        and there.status in entry.get("theirs", [there.status])
        and set(entry.get("marks", [])) <= made.marks
        and re.search(entry.get("request", ""), f"{made.method} {made.path}") is not None
        and re.search(entry.get("headers", ""), json.dumps(made.headers)) is not None
        and re.search(entry.get("body", ""), made.body) is not None
        and re.search(entry.get("said", ""), said) is not None
    )


def fill(dice: Random, line: Line, mount: str, *, hostile: bool) -> Made:
    """A request from a line."""
    marks: set[str] = set()
    oddness = dice.choice([0.0, 0.0, 0.3]) if hostile else 0.0

    def put(match: re.Match[str]) -> str:
        if match[1] == "mount":
            return mount
        text, odd = word(dice, match[1], oddness)
        if odd:
            marks.add("odd")
        return text

    made = Made(
        line.text,
        _HOLE.sub(put, line.who),
        line.method,
        _HOLE.sub(put, line.path),
        {name: unquote(_HOLE.sub(put, value)) for name, value in line.headers.items()},
        _HOLE.sub(put, line.body),
        line.name,
        line.where,
        marks,
    )
    if hostile:
        leave_out(dice, made)
        if dice.random() < 0.25:
            spoiler = dice.choice(SPOILERS)
            spoiler(dice, made)
            made.marks.add(spoiler.__name__)
    return made


def leave_out(dice: Random, made: Made) -> None:
    """Take some of the named fields away."""
    if made.text.endswith("| <object>") or not made.body.startswith("{"):
        return
    fields = json.loads(made.body)
    kept = {name: value for name, value in fields.items() if len(fields) == 1 or dice.random() < 0.6}
    made.body = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
