"""One configuration at work: a client that is logged in, files that are current, doors that are open."""

from __future__ import annotations

import os
import random
from threading import Event, Thread, Timer
from typing import TYPE_CHECKING, Final, Protocol

from ml_secrets.agent.resident import sinks
from ml_secrets.agent.resident.acts import act
from ml_secrets.agent.resident.doors import Doors
from ml_secrets.agent.resident.health import Health
from ml_secrets.agent.resident.identity import Identity
from ml_secrets.agent.resident.logins import way_of
from ml_secrets.agent.resident.placing import Placing
from ml_secrets.agent.resident.rendering import Rendering
from ml_secrets.agent.source import PASSING, Follower, Source
from ml_secrets.agent.telling import told_of
from ml_secrets.client import Client
from ml_secrets.errors import Conflict, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml_secrets.agent.resident.config import Config, Server, Wanted
    from ml_secrets.sensitive import Sensitive

_LONGEST: Final = 15.0
_ANSWERED: Final = 0.2
"""Whoever asked for the end hears that it was granted."""


class Owner(Protocol):
    """What the work asks of the main thread."""

    def restart(self) -> None: ...
    def signal(self, number: int) -> None: ...
    def complete(self) -> None: ...
    def end(self) -> None: ...
    def program(self) -> tuple[int, int]: ...


class Work:
    """`later` has the main thread do something. `before`: the work that this one takes over from, and with it its login if that is the same."""

    def __init__(
        self,
        config: Config,
        later: Callable[[Callable[[], None]], None],
        owner: Owner,
        told: Callable[[str], None],
        *,
        before: Work | None = None,
    ) -> None:
        self.config = config
        self._later = later
        self._owner = owner
        self._told = told
        self.client, self.identity = self._login(before)
        self._placing = Placing()
        self._source = Source(self.client)
        program = config.program
        self._rendering = Rendering(
            config.wanted,
            {} if program is None else program.variables,
            self._source,
            self._placing,
            changed=self._changed,
            told=told,
        )
        self.doors: Doors = Doors(config, self, before=None if before is None else before.doors)
        self._follower = Follower(
            self._source,
            self._folder(),
            poll=config.poll,
            changed=self._rendering.of,
            heard=self.doors.heard,
            told=lambda text: told(f"what is in hand stays as it is: {text}"),
        )
        self._over = Event()
        self._logged_in = self._done = self._shredded = False
        self._thread = Thread(target=self._begin, name="ml-secrets work", daemon=True)
        self._retry: Thread | None = None
        self.failure: BaseException | None = None

    # ── the main thread ─────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Step 2. Raises what is wrong with a folder or a socket."""
        try:
            self._placing.prepare(self.config.places)
            self.doors.open(self._placing)
        except BaseException:
            self._placing.close()
            raise

    def start(self) -> None:
        """Steps 3 to 5, in threads."""
        self._thread.start()

    def stop(self, *, after: Work | None = None) -> None:
        """Step 6. `after` takes over what is the same there."""
        self._over.set()
        self._follower.stop()
        if after is None or after.identity is not self.identity:
            self.identity.stop()
        self.doors.close(after=None if after is None else after.doors)
        self._placing.close()

    def tick(self, *, retry: bool) -> None:
        """Once a second: is what is there still good? `retry`: what failed is tried once more."""
        if not self._done:
            return
        if self.stale and self.config.remove_stale and not self._shredded:
            self._shredded = True
            self._told("what was fetched is too old by now: the files are shredded")
            self._placing.shred(one.place for one in self.config.wanted)
        back = self._shredded and not self.stale
        if (retry or back) and (self._retry is None or not self._retry.is_alive()):
            self._retry = Thread(target=self._again, args=(back,), name="ml-secrets retry", daemon=True)
            self._retry.start()

    def ask_for_the_end(self) -> None:
        """Somebody who may has said so."""
        Timer(_ANSWERED, self._later, (self._owner.end,)).start()

    @property
    def alive(self) -> bool:
        """Do the threads run that should?"""
        if not self._done or self.config.once:
            return self.failure is None
        return self._follower.is_alive() and self.identity.is_alive()

    @property
    def stale(self) -> bool:
        """Is it too long ago that the server was known to have nothing else?"""
        return self._done and self._follower.age() > self.config.stale

    @property
    def variables(self) -> Mapping[str, Sensitive]:
        """The program's, filled."""
        return self._rendering.variables

    @property
    def source(self) -> Source:
        """What was fetched."""
        return self._source

    @property
    def logged_in(self) -> bool:
        """Is there a token?"""
        return self._logged_in

    @property
    def current(self) -> bool:
        """Would a change be heard of at once?"""
        return self._follower.by == "events"

    def health(self) -> Health:
        """How it is doing."""
        refused = {str(one): told_of(error) for one, error in dict(self._source.refused).items()}
        login = {"login": self.identity.trouble} if self.identity.trouble else {}
        process, restarts = self._owner.program()
        return Health(
            logged_in=self._logged_in and self.client.session.token is not None,
            complete=self._done and self._rendering.complete,
            follows=self._follower.by if self._done else "",
            age=self._follower.age() if self._done else 0.0,
            stale=self.stale,
            problems=login | refused | self._rendering.problems,
            program=process,
            restarts=restarts,
        )

    # ── its own thread ──────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        try:
            self._carry_out()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the main thread's to end with
            self.failure = error.with_traceback(None)
            self._later(lambda: None)

    def _carry_out(self) -> None:
        if not self._get_in():
            return
        self._logged_in = True
        self._fetch_all()
        if self._over.is_set():
            return
        if self.config.once:
            self._check_complete()
        else:
            self._follower.start()
        self._done = True  # from here on the threads have to be alive
        if self._rendering.complete:
            self._later(self._owner.complete)
        else:
            self._told("not everything is there yet: see above")

    def _get_in(self) -> bool:
        """Log in, or go on with the login that was taken over. False where it was stopped."""
        if self.identity.ident is not None:
            self.identity.renewed = self._renewed
            self._renewed()
            return True
        if not self.identity.log_in():
            return False
        if not self.config.once:
            self.identity.start()
        return True

    def _fetch_all(self) -> None:
        failures = 0
        while not self._over.is_set():
            try:
                self._rendering.everything()
            except MlSecretsError as error:
                if self.config.once and not isinstance(error, PASSING):
                    raise
                failures += 1
                self._told(f"nothing was fetched yet: {error.message}")
                self._over.wait(
                    0.1 + random.SystemRandom().random() * min(_LONGEST, 0.5 * 2.0 ** min(failures, 10))
                )
            else:
                return

    def _check_complete(self) -> None:
        problems = self._rendering.problems
        if problems:
            lines = "".join(f"\n  {name}: {text}" for name, text in problems.items())
            raise Conflict(f"not everything could be written:{lines}", hint="see what is said of each")

    def _renewed(self) -> None:
        """There is another token."""
        self.doors.heard(None)
        try:
            sinks.write_token(self.client, self.config.sinks, self._placing)
        except (MlSecretsError, OSError) as error:
            self._told(f"the token could not be handed on: {told_of(error)}")
            if self.config.once:
                raise

    def _again(self, everything: bool) -> None:
        before = self._rendering.complete
        try:
            changed = self._source.fetch(list(self._source.refused)) if self._source.refused else set()
            self._rendering.everything() if everything else self._rendering.of(changed)
        except MlSecretsError:
            return  # told of where it is followed
        self._shredded &= not everything
        if not before and self._rendering.complete:
            self._later(self._owner.complete)

    def _changed(self, files: Sequence[Wanted], variables: bool) -> None:
        program = self.config.program
        act(
            files,
            program=lambda number: self._later(lambda: self._owner.signal(number)),
            restart=lambda: self._later(self._owner.restart),
            told=self._told,
        )
        if variables and program is not None and self._done:
            if program.change.restart:
                self._later(self._owner.restart)
            elif program.change.signal:
                number = program.change.signal
                self._later(lambda: self._owner.signal(number))

    # ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _login(self, before: Work | None) -> tuple[Client, Identity]:
        """That of the work before, where it asks the same server as the same, and got in; else one to come."""
        server, method = self.config.server, self.config.method
        if (
            before is not None
            and before.logged_in
            and (before.config.server, before.config.method) == (server, method)
        ):
            return before.client, before.identity
        client = connect(server)
        if method.name != "token":
            client.token = None  # that of the surroundings is somebody else's
        return client, Identity(client, way_of(method), method, renewed=self._renewed, told=self._told)

    def _folder(self) -> str:
        """Where what is followed lies: the deepest folder of all secrets, unless others may be asked for later on."""
        paths = [one.path for one in self._rendering.constant]
        if (
            self.config.listeners
            or self.config.aws is not None
            or not paths
            or not self._rendering.all_constant
        ):
            return ""
        return os.path.commonpath(paths)


def connect(server: Server) -> Client:
    """A client of that server, with no login yet and no cache."""
    client = Client(
        server.address or None,
        namespace=server.namespace or None,
        verify=False if not server.verify else server.cacert or None,
        cache_ttl=0,
    )
    client.settings.share = ""  # it asks for itself, and others ask it
    if server.client_cert:
        client.settings.client_cert, client.settings.client_key = server.client_cert, server.client_key
    return client
