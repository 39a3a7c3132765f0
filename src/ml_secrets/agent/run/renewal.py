"""What is done with new values while a command runs: the masks learn them, then the files have them, then the command is told as it wishes.

All that changed is acted on together. While the server is away, or refuses, or files cannot be written, the command keeps what it has; that is told.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.run.child import code_of, start_apart
from ml_secrets.agent.run.given import file_of, surroundings
from ml_secrets.agent.source import Follower, Source
from ml_secrets.agent.telling import told_of
from ml_secrets.errors import Fault, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml_secrets.agent.files import File
    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.job import Change, Job
    from ml_secrets.agent.reference import Reference
    from ml_secrets.client.near import QuickClient

    Values = Mapping[Reference, Value]

POLL: Final = 5.0
FIRST: Final = 0.2
"""The command's own start comes first: what follows a server takes long to import."""


class Renewal:
    """One command's. `write` None: there are no files that follow. `again`: have the command started anew.

    child: its process, 0 where there is none. values: those that it has, or would have if it were started now.
    """

    def __init__(
        self,
        job: Job,
        mark: str,
        *,
        learn: Callable[[Values], None],
        write: Callable[[list[File]], object] | None,
        again: Callable[[], None],
        told: Callable[[str], None],
    ) -> None:
        self.values: Values = {}
        self.child = 0
        self._deliveries = job.of("file")
        self._all = job.restarts
        self._together = job.together
        self._mark = mark
        self._learn = learn
        self._write = write
        self._again = again
        self._told = told
        self._source: Source
        self._refused: set[str] = set()

    def follow(self, client: QuickClient, values: Values) -> None:
        """Follow those that files have; all of them where a command that is started anew has them anew."""
        wanted = {one for delivery in self._deliveries for one in delivery.content.references}
        self.values = {one: value for one, value in values.items() if self._all or one in wanted}
        self._source = Source(client, self.values)
        moving = [one.path for one in self.values if one.version is None]
        if moving:
            Follower(
                self._source,
                os.path.commonpath(moving),
                poll=POLL,
                changed=self._renew,
                told=self._kept,
                looked=self._looked,
                after=FIRST,
                each=client.together,
            ).start()

    def _renew(self, references: set[Reference]) -> None:
        """These are others now. Raises `Fault` where that could not be done just now."""
        changed = {one: self._source.values[one] for one in references}
        try:
            self._hand_on(changed)
        except (MlSecretsError, OSError) as error:
            problem = told_of(error)
        else:
            return
        raise Fault(problem)

    def _hand_on(self, changed: Values) -> None:
        self._learn(changed)
        values = {**self.values, **changed}
        concerned = [one for one in self._deliveries if not changed.keys().isdisjoint(one.content.references)]
        if self._write is not None:
            written = self._deliveries if self._together else concerned
            self._write([file_of(one, values) for one in written])
        self.values = values
        changes = dict.fromkeys(one.on_change for one in concerned)
        for change in sorted(changes, key=lambda change: change.restart):  # all else is done before it ends
            self._tell(change)

    def _looked(self) -> None:
        """All was asked for: what is refused is told of, once."""
        refused = {f"{one}: {told_of(error)}" for one, error in self._source.refused.items()}
        for text in sorted(refused - self._refused):
            self._kept(text)
        self._refused = refused

    def _kept(self, text: str) -> None:
        self._told(f"the command keeps the secrets it has: {text}")

    def _tell(self, change: Change) -> None:
        with contextlib.suppress(ProcessLookupError):
            if change.signal and self.child:
                os.kill(self.child, change.signal)
        if change.command:
            self._carry_out(change.command)
        if change.restart:
            self._again()

    def _carry_out(self, command: Sequence[str]) -> None:
        """The person's own command. What it prints would not go through the mask: it has no stream of ours, and no token."""
        try:
            process = start_apart(command, surroundings(os.environ, self._mark))
        except OSError as error:
            self._told(f"what was to be run after a change could not be started: {error.strerror}")
            return
        with contextlib.suppress(ChildProcessError):  # as a container's first process, we reap whatever ends
            code = code_of(os.waitpid(process, 0)[1])
            if code:
                self._told(f"what was run after a change ended with {code}")
