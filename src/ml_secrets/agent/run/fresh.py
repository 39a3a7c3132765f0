"""Keeps what a run handed out as the server has it: a thread that hears of changes and fetches anew.

- The server tells of changes (events). It is asked for everything once more when that begins, and whenever it cannot say what was
  missed.
- Where there are no events, or our token has no right to them, each secret is followed by itself (client/following.py), and everything
  is asked for once more every `SURE` seconds. So it is in runs of one job that ask together: one wait is for all of them.
- All that changed is handed on together. While the server is away, or refuses, the command keeps what it has; a refusal is told of.
"""

from __future__ import annotations

import contextlib
import os
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.gather import gather, key_of
from ml_secrets.agent.run.child import code_of, start_apart
from ml_secrets.agent.run.given import file_of, surroundings
from ml_secrets.client.events import MISSED, READY, Feed, next_event
from ml_secrets.errors import Denied, Fault, Incomplete, Limited, MlSecretsError, Sealed, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml_secrets.agent.files import File
    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.job import Change, Job
    from ml_secrets.agent.reference import Reference
    from ml_secrets.client.near import QuickClient

    Values = Mapping[Reference, Value]

EVERY: Final = 5.0
SURE: Final = 60.0
FIRST: Final = 0.2
"""The command's own start comes first: what follows a server takes long to import."""
_PASSING: Final = (Fault, Limited, Sealed)


class Fresh(Thread):
    """`values` as handed out; `changed(values)` is called, in this thread, with those that are others by then."""

    def __init__(
        self,
        client: QuickClient,
        values: Values,
        changed: Callable[[Values], None],
        told: Callable[[str], None],
    ) -> None:
        super().__init__(name="ml-secrets fresh", daemon=True)
        self._client = client
        self._values = values
        self._moving = [reference for reference in values if reference.version is None]
        self._changed = changed
        self._told = told
        self._troubled = False
        self._never = Event()

    def run(self) -> None:
        """Follow until the process ends."""
        self._never.wait(FIRST)
        while self._moving:
            try:
                if self._client.together:
                    self._follow_each()
                self._follow()
            except (Unsupported, Denied):
                self._follow_each()
            except MlSecretsError as error:
                self._trouble(error)
            self._never.wait(EVERY)

    def _follow(self) -> None:
        feed = Feed(_common_folder(self._moving), (), tells_ready=True)
        while True:
            event = self._client.run(next_event(self._client.session, feed))
            place = f"{event.mount}/{event.path}"
            if event.kind in (READY, MISSED) or any(one.path == place for one in self._moving):
                feed.waiting.clear()  # what they tell of happened before we ask
                while not self._look():
                    self._never.wait(EVERY / 5)

    def _follow_each(self) -> None:
        changed, patience = Event(), 2.0  # what changed while this began
        keys = [self._client.run(key_of(self._client.session, one)) for one in self._moving]
        for mount, name in sorted({(key.mount, key.name) for key in keys}):
            self._client.live(name, mount=mount).on_change(lambda _: changed.set())
        while True:
            changed.wait(patience)
            changed.clear()
            patience = SURE if self._look() else EVERY / 5

    def _look(self) -> bool:
        """Fetch anew, and hand on what changed. False where that was not possible just now."""
        try:
            values = gather(self._client, self._moving)
        except Incomplete as error:
            if any(isinstance(one, _PASSING) for one in error.errors.values()):
                return False
            self._trouble(error)
            return True
        except _PASSING:
            return False
        changed = {one: value for one, value in values.items() if value != self._values[one]}
        if changed and not self._hand_on(changed):
            return False
        self._troubled = False
        return True

    def _hand_on(self, changed: Values) -> bool:
        """False where files could not be written, and are to be tried again."""
        try:
            self._changed(changed)
        except (MlSecretsError, OSError) as error:
            self._trouble(error)
            return False
        self._values = {**self._values, **changed}
        return True

    def _trouble(self, error: MlSecretsError | OSError) -> None:
        """Say it once, until it is over."""
        if not self._troubled:
            self._troubled = True
            problem = error.message if isinstance(error, MlSecretsError) else error.strerror
            self._told(f"the command keeps the secrets it has: {problem}")


class Renewal:
    """What is done with new values: the masks learn them, then the files have them, then the command is told as it wishes.

    `write` None: there are no files that follow. `again`: have the command started anew. child: its process, 0 where there is none.
    """

    def __init__(
        self,
        job: Job,
        mark: str,
        learn: Callable[[Values], None],
        write: Callable[[list[File]], object] | None,
        again: Callable[[], None],
        told: Callable[[str], None],
    ) -> None:
        self.values: Values = {}
        self.child = 0
        self._deliveries = job.of("file")
        self._all = job.restarts
        self._mark = mark
        self._learn = learn
        self._write = write
        self._again = again
        self._told = told

    def followed(self, values: Values) -> Values:
        """Those of the values that files have; all of them where a command that is started anew has them anew."""
        wanted = {one for delivery in self._deliveries for one in delivery.content.references}
        self.values = {one: value for one, value in values.items() if self._all or one in wanted}
        return self.values

    def renew(self, changed: Values) -> None:
        """These values are others now."""
        self._learn(changed)
        values = {**self.values, **changed}
        concerned = [one for one in self._deliveries if not changed.keys().isdisjoint(one.content.references)]
        if self._write is not None:
            self._write([file_of(one, values) for one in concerned])
        self.values = values
        changes = dict.fromkeys(one.on_change for one in concerned)
        for change in sorted(
            changes, key=lambda change: change.restart
        ):  # what is to be done before comes before
            self._tell(change)

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


def _common_folder(references: list[Reference]) -> str:
    """The deepest folder, or the secret, that all of them are in."""
    return os.path.commonpath([reference.path for reference in references])
