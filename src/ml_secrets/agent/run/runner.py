"""The order of a run.

    1. nobody looks into this process, and a guardian is there before there is anything to guard
    2. all that is wanted is fetched, or nothing is started
    3. files are written, and the command's own token is made
    4. the command starts, with its files, variables and streams; while it does, the mask learns the values
    5. while it runs, its output goes through the mask, tokens are renewed, and files follow rotation
    6. what was made is taken back: the folder shredded, the token revoked
    7. the exit code is the command's own; or LEAKED where a value was printed and that is to fail

Nothing that the command prints is handed on before the mask knows the values: at the start the output waits, at a rotation the file does.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.gather import gather
from ml_secrets.agent.run import place, signals, slurm, system, tokens
from ml_secrets.agent.run.again import Again
from ml_secrets.agent.run.child import NotStarted, code_of, start
from ml_secrets.agent.run.given import environment, file_of, token_file
from ml_secrets.agent.run.guardian import ALONE, Guardian, kill_marked
from ml_secrets.agent.run.holdings import Holdings
from ml_secrets.agent.run.stage import set_up, terminal_of_keys
from ml_secrets.agent.run.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_secrets.agent.files import File
    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.run.child import Child
    from ml_secrets.agent.run.order import Order
    from ml_secrets.agent.run.renewal import Renewal
    from ml_secrets.agent.run.stage import Stage
    from ml_secrets.client.near import QuickClient
    from ml_secrets.detect.known import KnownValues
    from ml_secrets.detect.mask import Mask
    from ml_secrets.sensitive import Sensitive

    Values = Mapping[Reference, Value]

LEAKED: Final = 86
"""The exit code of a run that --fail-on-leak made fail."""


class Run:
    """One run. `told` passes a sentence on to the person."""

    def __init__(self, order: Order, client: QuickClient, told: Callable[[str], None]) -> None:
        self._order = order
        self._client = client
        self._told = told
        self._mark = place.new_mark()
        self._known: KnownValues
        self._masks: list[Mask] = []
        self._token: Sensitive | None = None
        self._again = Again(order.job.restart, told)
        self._renewal: Renewal | None = None
        self._also: dict[int, Callable[[], int]] = {}
        self._unblocked: list[int] = []
        self._signals = -1

    def carry_out(self) -> int:
        """Steps 1 to 7. Raises what keeps the command from being started."""
        system.hide_memory()
        client = self._client
        self._guardian = Guardian(self._mark, terminal_of_keys(), lambda token: tokens.revoke(client, token))
        self._holdings = Holdings(self._mark, client, self._guardian)
        try:
            code = self._run_command(gather(client, self._order.job.references))
        finally:
            if not self._holdings.take_back():
                self._told(tokens.LEFT)
        return self._verdict(code)

    # ── steps 3 and 4 ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run_command(self, values: Values) -> int:
        """Start it; and start it anew as often as that is asked for, with what the secrets are by then."""
        self._make_tokens()
        paths = self._hand_over(values)
        while True:
            code = self._run_once(values, paths)
            if not self._again.wanted:
                return code
            kill_marked(self._own_mark)  # what it left behind has the old secrets
            if number := self._again.rest(self._signals):
                return code_of(number)
            if self._renewal is not None:
                values = {**values, **self._renewal.values}
            paths = self._hand_over(values) if self._order.memory else paths

    def _run_once(self, values: Values, paths: Mapping[str, str]) -> int:
        variables = environment(self._order, os.environ, self._own_mark, values, paths)
        stage = set_up(self._stdin(values))
        self._take_signals()
        try:
            child = start(self._order.command, variables, stage.seat, unblocked=self._unblocked)
        except NotStarted as error:
            self._told(f"{self._order.command[0]}: {error.strerror}")
            return error.code
        del variables
        self._again.began()
        try:
            self._holdings.handed_over()
            return code_of(self._watch(child, stage, values))
        except BaseException:
            kill_marked(self._mark)
            raise

    @property
    def _own_mark(self) -> str:
        """The run's mark; and which start of the command it is, where that may be another one."""
        return f"{self._mark}.{self._again.turn}." if self._order.job.restarts else self._mark

    def _take_signals(self) -> None:
        if self._signals < 0:
            self._unblocked = signals.take()
            self._signals = system.signals(signals.TAKEN)

    def _make_tokens(self) -> None:
        """The command's own token, if it is to have one. It ends with the run, and so does each one that this run's login made."""
        self._holdings.login()
        if self._order.job_token:
            self._token = tokens.make_for_command(self._client)
            self._holdings.token(self._token)
            self._holdings.login()  # nothing may have been asked before

    def _learn_at_first(self, values: Values) -> None:
        from ml_secrets.detect.known import KnownValues  # noqa: PLC0415 - the command starts meanwhile

        ours = {"our token": self._client.token, "the command's token": self._token}
        self._known = KnownValues({what: token for what, token in ours.items() if token is not None})
        self._learn(values)

    def _learn(self, values: Values) -> None:
        """What must not be seen in the output from now on. Nothing is forgotten: an old value is still a secret."""
        for reference, value in values.items():
            self._known.add(value, str(reference))
        if self._order.add_mask:
            from ml_secrets.agent.workflow import add_masks  # noqa: PLC0415 - only in CI

            add_masks(values.values())

    def _hand_over(self, values: Values) -> Mapping[str, str]:
        files = [file_of(one, values) for one in self._order.job.of("file")]
        token = [] if self._token is None else [token_file(self._token)]
        if self._order.memory:
            return self._holdings.open(files + token)
        return {**self._holdings.write(token), **self._write(files)}

    def _write(self, files: list[File]) -> dict[str, str]:
        return self._holdings.write(files, together=self._order.job.together)

    def _stdin(self, values: Values) -> int | None:
        wanted = self._order.job.of("stdin")
        if not wanted:
            return None
        from ml_secrets.agent.memory import memory_file  # noqa: PLC0415 - only where it was asked for

        return memory_file("stdin", wanted[0].content.filled(values))

    # ── steps 5 and 7 ───────────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self, child: Child, stage: Stage, values: Values) -> int:
        if not self._again.turn:
            self._begin_to_tend(values)
        if self._renewal is not None:
            self._renewal.child = child.process
        try:
            return Watch(
                child,
                stage,
                self._new_mask,
                self._signals,
                self._again,
                self._also,
            ).run()
        finally:
            if self._renewal is not None:
                self._renewal.child = 0

    def _revive(self) -> int:
        """The guardian was killed."""
        if not self._guardian.revive():
            self._told(ALONE)
        return self._guardian.lives

    def _end(self) -> int:
        """Nobody is left who would end the command."""
        self._told("Slurm's daemon of this step has ended, and so does the command")
        self._again.call_off()
        kill_marked(self._mark)
        return -1

    def _begin_to_tend(self, values: Values) -> None:
        """The command runs, for the first time: now there is time for everything else."""
        self._also = {self._guardian.lives: self._revive, slurm.step_daemon(os.environ): self._end}
        self._also.pop(slurm.NONE, None)
        self._learn_at_first(values)
        gc.enable()
        self._client.stay()
        own = [] if self._token is None else [tokens.client_with(self._client, self._token)]
        tokens.Lasting([self._client, *own], self._holdings.login).start()
        if not self._order.memory or self._order.job.restarts:
            self._follow(values)

    def _follow(self, values: Values) -> None:
        from ml_secrets.agent.run.renewal import Renewal  # noqa: PLC0415 - only where something can change

        self._renewal = Renewal(
            self._order.job,
            self._mark,
            learn=self._learn_ahead,
            write=None if self._order.memory else self._write,
            again=self._again.ask,
            told=self._told,
        )
        self._renewal.follow(self._client, values)

    def _learn_ahead(self, values: Values) -> None:
        """The mask is ready for new values before anybody has them."""
        self._learn(values)
        self._known.prepare()

    def _new_mask(self) -> Mask:
        from ml_secrets.detect.mask import Mask  # noqa: PLC0415 - as above

        self._masks.append(Mask(self._known))
        return self._masks[-1]

    def _verdict(self, code: int) -> int:
        printed = sorted({name for mask in self._masks for name in mask.found_by_name})
        if not printed or not self._order.fail_on_leak:
            return code
        self._told(
            f"masked in what the command printed: {', '.join(printed)}; so the run fails (the command ended with {code})"
        )
        return LEAKED
