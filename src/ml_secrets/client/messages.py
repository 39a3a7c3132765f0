"""What a flow asks of the outside world, and what it gets back.

A flow is a generator: it yields steps and is sent their results, so that `Client` and `AsyncClient` drive the same
rules, one with threads and one with tasks. A step that fails raises its error inside the flow.

    Request    send this; the result is a Response, or `NotSent` / `Lost` is raised
    Pause      wait so many seconds
    Take       the next piece of an answer that goes on; the result is bytes, or None at its end
    Leave      let go of such an answer
    Once       run a flow, unless the same one is already under way: then wait for its result
    Together   run several flows at the same time, a few at once; the result is a list of results and errors

Bodies and tokens are `Sensitive` from end to end: frames of ours that end up in a traceback hold nothing to read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ml_secrets.errors import Unreachable

if TYPE_CHECKING:
    from ml_secrets.client.hold import Hold
    from ml_secrets.client.login import Login
    from ml_secrets.sensitive import Sensitive

T = TypeVar("T")
LARGEST_ANSWER: Final = 64 << 20

READ: Final = "read"
BATCH: Final = "batch"
ANSWER: Final = "answer"
WAIT: Final = "wait"
LOGIN: Final = "login"
RENEW: Final = "renew"
LEASE: Final = "lease"
HOLD: Final = "hold"
EXTEND: Final = "extend"
LEAVE: Final = "leave"


@dataclass(frozen=True, slots=True)
class Shared:
    """Processes beside this one may have the answer, and this one theirs (node/): `kind` is one of those above.

    fresh: how old it may be. stale: and while the server is away. refused: a token that was refused; a login that gave it will not do.

    A LEASE is made for all and stays until all have said LEAVE, or ended. EXTEND renews it; HOLD says anew that we have it, to
    one that does not know. lease: its id. hold: our share in it. held, left: what was answered, and the seconds until its end.
    """

    kind: str
    fresh: float = 0.0
    stale: float = 0.0
    refused: Sensitive | None = None
    lease: str = ""
    hold: Hold | None = None
    held: Sensitive | None = None
    left: float = 0.0

    @property
    def among_us(self) -> bool:
        """Is it said to the process that asks for all, and to nobody else?"""
        return self.hold is not None and (self.kind == HOLD or (self.kind == LEAVE and self.hold.shared))


@dataclass(slots=True)
class Request:
    """One HTTP request. `path` is below /v1/, not percent-encoded. `repeatable` says that sending it twice does no harm.

    `login` goes inside it, in place of a token. `largest` is how many bytes of an answer are taken before it counts as broken.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sensitive | None = None
    token: Sensitive | None = None
    login: Login | None = None
    timeout: float = 30.0
    repeatable: bool = False
    streams: bool = False
    largest: int = LARGEST_ANSWER
    shared: Shared | None = None


@dataclass(slots=True)
class Response:
    """What the server answered. Header names are lower case. `stream`: a success to a request that `streams`; the body comes from there.

    `age`: how many seconds ago that was, where it was another process that asked.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Sensitive
    stream: Any = None
    age: float = 0.0


@dataclass(slots=True)
class Take:
    """The next piece of a `Response.stream`, within so many seconds. `Lost` where none comes."""

    stream: Any
    seconds: float


@dataclass(slots=True)
class Leave:
    """Let go of a `Response.stream`."""

    stream: Any


@dataclass(slots=True)
class Pause:
    """Wait `seconds`."""

    seconds: float


@dataclass(slots=True)
class Once:
    """Run `flow` once for everybody who asks under the same `key` at the same time."""

    key: Hashable
    flow: Callable[[], Flow[Any]]


@dataclass(slots=True)
class Together:
    """Run `flows` side by side, `width` at a time. Results come in order; an error stands in its place."""

    flows: Sequence[Callable[[], Flow[Any]]]
    width: int = 8


Step: TypeAlias = Request | Take | Leave | Pause | Once | Together
Flow: TypeAlias = Generator[Step, Any, T]


class NotSent(Unreachable):
    """No connection: the server has seen nothing of the request."""


class Lost(Unreachable):
    """The connection broke, or the answer was no HTTP: the server may have carried the request out."""


class Misdirected(Unreachable):
    """The server points elsewhere. A token follows nobody to another place."""
