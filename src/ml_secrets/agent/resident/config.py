"""What an agent is asked to do, whatever it was written in. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.job import Change
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml_secrets.agent.resident.template import Template

POLL: Final = 10.0
STALE: Final = 24 * 3600.0
COMMAND_SECONDS: Final = 30.0
NOTHING: Final = Change()
RESTART: Final = Change(restart=True)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is. Empty: what the surroundings say (client/settings.py). `verify` False: no check of certificates."""

    address: str = ""
    namespace: str = ""
    cacert: str = ""
    client_cert: str = ""
    client_key: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Method:
    """How to log in: the name of one of logins.py, and what it is told. `mount` empty: the method's own name.

    `patience`: between two tries that failed, at most. `once`: one try, and the agent ends where it fails.
    """

    name: str = "token"
    mount: str = ""
    options: Mapping[str, str | bool] = field(default_factory=dict)
    patience: float = 60.0
    once: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A file that is written: its path, mode and owner (by number; None is us), and whether a disk will do."""

    path: Path
    mode: int = 0o400
    owner: tuple[int, int] | None = None
    on_disk: bool = False


@dataclass(frozen=True, slots=True)
class Sink:
    """The agent's token as a file. `wrap_ttl`: wrapped, for whoever unwraps it first."""

    place: Place
    wrap_ttl: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A template's file, and what is done once it holds something new.

    `pid_file` names the process that `change.signal` goes to; None: the one that the agent runs. `seconds`: for the command.
    """

    template: Template
    place: Place
    change: Change = NOTHING
    pid_file: Path | None = None
    seconds: float = COMMAND_SECONDS


@dataclass(frozen=True, slots=True)
class Program:
    """A command that the agent runs, and keeps running.

    variables: by name, each a template. restart: "always", "on-failure" or "never" when it ends by itself. change: what it gets
    when a variable of its changed. stop_signal, then `stop_seconds` later SIGKILL.
    """

    command: tuple[str, ...]
    variables: Mapping[str, Template] = field(default_factory=dict)
    restart: str = "on-failure"
    change: Change = RESTART
    stop_signal: int = 15
    stop_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the agent listens. One of `socket` and `tcp` ("127.0.0.1:8100").

    proxy: the server's API; own_token: with the agent's token for those who bring none. mode, owner: the socket's. users: who may ask, by number, beside us and root;
    None is anybody that gets there. header: X-Vault-Request has to be there. hosts: names that Host may have beside
    those of this machine. quit: POST /agent/v1/quit ends the agent.
    """

    socket: Path | None = None
    tcp: str = ""
    proxy: bool = True
    own_token: bool = True
    mode: int = 0o600
    owner: tuple[int, int] | None = None
    users: tuple[int, ...] | None = ()
    header: bool = True
    hosts: tuple[str, ...] = ()
    quit: bool = False


@dataclass(frozen=True, slots=True)
class Aws:
    """The local endpoint of the AWS Secrets Manager Agent. `token`: the file with what its callers show; made where it is missing.

    prefix: what paths begin with that are names of secrets.
    """

    tcp: str
    token: Place
    mount: str = "secret"
    prefix: str = "/v1/"
    users: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Config:
    """All of it.

    poll: how often a server is asked that cannot tell of changes. stale: how long what was fetched is good while the server is
    away; then the agent is not healthy, answers nothing out of its memory and, with `remove_stale`, shreds its files.
    once: it ends when all is written. notes: what was left out, or taken for less than it says.
    """

    server: Server = Server()
    method: Method = Method()
    sinks: tuple[Sink, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    program: Program | None = None
    listeners: tuple[Listener, ...] = ()
    aws: Aws | None = None
    poll: float = POLL
    stale: float = STALE
    remove_stale: bool = False
    once: bool = False
    pid_file: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = [place.path for place in self.places]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise Invalid(f"two files are to be written to {twice}", hint="give one of them another path")
        restarted = any(one.change.restart for one in self.wanted)
        if restarted and self.program is None:
            raise Invalid(
                "there is nothing to restart on a change", hint="name the program: [exec] command = [...]"
            )
        if not (self.sinks or self.wanted or self.program or self.listeners or self.aws):
            raise Invalid(
                "the agent is asked to do nothing",
                hint="add a [[template]], [[sink]], [[listener]], [exec] or [aws]",
            )

    @property
    def places(self) -> list[Place]:
        """All files that it writes."""
        return [*(one.place for one in self.sinks), *(one.place for one in self.wanted)]
