"""Clients that read and write a few secrets, with notes of when they asked and what they were told; and whether there is one order that explains it all.

Each write makes a version, so the order is that of the versions: a history is linearisable when no version has two
values, and nobody who asked later was told of an earlier one.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from dataclasses import dataclass

KEYS = 4


@dataclass(slots=True)
class Asked:
    """One request. `end` is infinite where no answer came; then the write may have happened, or not."""

    key: int
    start: float
    end: float
    version: int
    value: int
    writes: bool


class Client:
    """Asks until it has so many answers: reads, half of them with a write on condition after it, and some writes alone."""

    _values = itertools.count(1)

    def __init__(self, store, number: int, times: int) -> None:
        self.store, self.dice, self.times = store, random.Random(number), times
        self.notes: list[Asked] = []
        self.refused = 0
        self.thread = threading.Thread(target=self.work)

    def work(self) -> None:
        while self.times:
            key, choice = self.dice.randrange(KEYS), self.dice.randrange(6)
            seen = self.read(key) if choice else None
            if choice < 3 and (seen is not None or not choice):
                self.write(key, seen)

    def ask(self, method, path, body=None):
        start = time.monotonic()
        try:
            answer = self.store.ask(method, path, body, timeout=10)
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            return start, float("inf"), None
        self.times = max(0, self.times - 1)
        return start, time.monotonic(), answer

    def read(self, key: int) -> int | None:
        """The version that is there, 0 for none; None where no answer came."""
        start, end, answer = self.ask("GET", f"secret/data/history/{key}")
        if answer is None or answer.status not in (200, 404):
            return None
        if answer.status == 404:
            return 0
        version = answer.data["metadata"]["version"]
        self.notes.append(Asked(key, start, end, version, answer.data["data"]["v"], writes=False))
        return version

    def write(self, key: int, cas: int | None) -> None:
        value = next(self._values)
        body = {"data": {"v": value}} | ({} if cas is None else {"options": {"cas": cas}})
        start, end, answer = self.ask("POST", f"secret/data/history/{key}", body)
        if answer is not None and answer.status == 400:
            self.refused += 1
        elif answer is None or answer.status != 200:
            self.notes.append(Asked(key, start, float("inf"), 0, value, writes=True))
        else:
            self.notes.append(Asked(key, start, end, answer.data["version"], value, writes=True))


def check(notes: list[Asked]) -> None:
    """Raise AssertionError where no order of the requests explains what was told."""
    for key in range(KEYS):
        asked = [note for note in notes if note.key == key]
        told = [note for note in asked if note.version]
        written = {note.version: note.value for note in told if note.writes}
        assert len(written) == sum(note.writes for note in told), "a version was given to two writers"
        unanswered = {note.value: note.start for note in asked if not note.version}
        check_values(told, written, unanswered)
        check_order(told)


def check_values(told: list[Asked], written: dict[int, int], unanswered: dict[int, float]) -> None:
    """Every read gives what its version's writer wrote; a writer that got no answer wrote one version at most."""
    lost: dict[int, int] = {}
    for note in told:
        if note.version in written:
            assert note.value == written[note.version], "a version has two values"
        else:
            assert unanswered.get(note.value, float("inf")) <= note.end, "a value was read before it was sent"
            assert lost.setdefault(note.value, note.version) == note.version, "one write made two versions"
            assert [v for value, v in lost.items() if v == note.version] == [note.version], (
                "a version has two values"
            )


def check_order(told: list[Asked]) -> None:
    """Who asked after another had been told is told of no earlier version, and writes a later one."""
    ended = sorted(told, key=lambda note: note.end)
    newest, at = 0, 0
    for note in sorted(told, key=lambda note: note.start):
        while ended[at].end < note.start:
            newest = max(newest, ended[at].version)
            at += 1
        assert note.version > newest if note.writes else note.version >= newest, "time went back"
