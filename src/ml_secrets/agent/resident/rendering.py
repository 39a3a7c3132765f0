"""Templates to files: filled when the agent starts and whenever a secret of theirs changes, written whole, and acted on.

A template that fails keeps its last file, is told of once, and does not keep the others from being written.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING

from ml_secrets.agent.source import PASSING
from ml_secrets.agent.telling import told_of
from ml_secrets.errors import Invalid, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.resident.config import Wanted
    from ml_secrets.agent.resident.placing import Placing
    from ml_secrets.agent.resident.template import Template
    from ml_secrets.agent.source import Source
    from ml_secrets.sensitive import Sensitive


@dataclass(slots=True)
class State:
    """How one template is doing. `written`: when its file last changed or was found right; 0 is never."""

    asked: set[Reference] = field(default_factory=set)
    problem: str = ""
    written: float = 0.0


class Rendering:
    """All templates of an agent: those of files, and those of its program's variables. Threads may share it."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        variables: Mapping[str, Template],
        source: Source,
        placing: Placing,
        *,
        changed: Callable[[Sequence[Wanted], bool], None],
        told: Callable[[str], None],
    ) -> None:
        """`changed(files, variables)`: these have something new, and whether the variables have; never at the same time."""
        self._wanted = wanted
        self._templates = variables
        self._source = source
        self._placing = placing
        self._changed = changed
        self._told = told
        self._lock = RLock()
        self._passing: MlSecretsError | None = None
        self.states = {one.place.path: State() for one in wanted}
        self.variable_states = {name: State() for name in variables}
        self.variables: dict[str, Sensitive] = {}

    @property
    def constant(self) -> set[Reference]:
        """The secrets that are named by constant texts."""
        return {reference for one in self._all for reference in one.references}

    @property
    def all_constant(self) -> bool:
        """Are there no others?"""
        return all(one.constant for one in self._all)

    @property
    def _all(self) -> list[Template]:
        return [*(one.template for one in self._wanted), *self._templates.values()]

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by the name of what it is wrong with."""
        states = {str(path): state for path, state in self.states.items()} | self.variable_states
        return {name: state.problem for name, state in states.items() if state.problem}

    @property
    def complete(self) -> bool:
        """Is each there, in some state?"""
        return all(state.written for state in (*self.states.values(), *self.variable_states.values()))

    def everything(self) -> None:
        """Fill and write all of them. Raises what is passing: then try again."""
        with self._lock:
            self._source.fetch(self.constant)
            self._render(self._wanted, list(self._templates))

    def of(self, references: set[Reference]) -> None:
        """Fill and write those that ask for one of these, and those that failed. Raises what is passing."""
        with self._lock:
            files = [one for one in self._wanted if self._concerned(self.states[one.place.path], references)]
            names = [
                name for name, state in self.variable_states.items() if self._concerned(state, references)
            ]
            self._render(files, names)

    @staticmethod
    def _concerned(state: State, references: set[Reference]) -> bool:
        return bool(state.problem or state.asked & references)

    def _render(self, files: Iterable[Wanted], names: Iterable[str]) -> None:
        filled = {one.place.path: (one, content) for one in files if (content := self._file(one)) is not None}
        changed = self._write(filled)
        fresh = {name: text for name in names if (text := self._variable(name)) is not None}
        others = any(
            name not in self.variables or self.variables[name] != text for name, text in fresh.items()
        )
        self.variables |= fresh
        if changed or others:
            self._changed(changed, others)
        passing, self._passing = self._passing, None
        if passing is not None:
            raise passing

    def _file(self, one: Wanted) -> Sensitive | None:
        return self._filled(one.template, self.states[one.place.path], str(one.place.path))

    def _variable(self, name: str) -> Sensitive | None:
        state = self.variable_states[name]
        text = self._filled(self._templates[name], state, name)
        if text is not None and b"\0" in text.reveal_bytes():
            self._say(state, name, Invalid("a variable cannot hold a zero byte"))
            return None
        if text is not None:
            state.problem, state.written = "", time.time()
        return text

    def _filled(self, template: Template, state: State, shown: str) -> Sensitive | None:
        try:
            content, state.asked = template.filled(self._source)
        except MlSecretsError as error:
            state.asked |= template.references
            self._say(state, shown, error)
            if isinstance(error, PASSING):
                self._passing = error.with_traceback(None)
            return None
        return content

    def _write(self, filled: Mapping[Path, tuple[Wanted, Sensitive]]) -> list[Wanted]:
        """Write them, one folder at a time. What cannot be written is told of, and tried again."""
        changed: list[Wanted] = []
        for folder in dict.fromkeys(one.place.path.parent for one, _ in filled.values()):
            together = [(one, content) for one, content in filled.values() if one.place.path.parent == folder]
            try:
                paths = self._placing.write((one.place, content) for one, content in together)
            except (MlSecretsError, OSError) as error:
                for one, _ in together:
                    self._say(self.states[one.place.path], str(one.place.path), error)
                continue
            for one, _ in together:
                state = self.states[one.place.path]
                state.problem, state.written = "", time.time()
            changed += [one for one, _ in together if one.place.path in paths]
        return changed

    def _say(self, state: State, shown: str, error: Exception) -> None:
        problem = told_of(error)
        if problem != state.problem:
            state.problem = problem
            self._told(f"{shown} stays as it is: {problem}")
