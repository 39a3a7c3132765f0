"""Every error that ml-secrets raises on purpose.

    MlSecretsError
    ├── Refusal                 the caller's: change the request and try again
    │   ├── Invalid             the request makes no sense as it stands
    │   ├── Unauthenticated     no token, or one that is not (or no longer) known
    │   ├── Denied              a known caller without the right
    │   ├── NotFound            nothing there
    │   ├── Conflict            somebody else was first (check-and-set, concurrent change)
    │   ├── TooLarge            more bytes than this server takes
    │   ├── Limited             too many requests; carries `retry_after` in seconds
    │   ├── Unsupported         a known path, asked to do what it does not do
    │   └── Sealed              the server holds no key yet
    ├── Fault                   ours: the request was fine
    │   ├── StoreFault          the store cannot be read or written
    │   ├── StoreFull           the disk is full: nothing was written, reads go on
    │   ├── TamperFault         stored bytes are not what we wrote
    │   ├── AuditFault          no audit device could record the request
    │   └── Unreachable         (client) no server answered
    ├── Incomplete              (client) some of several secrets cannot be had; carries each one's error
    └── Leaked                  (client) a guard stopped a value on its way into a log, a file, a tracker

Match them by class, never by their text. `hint` says what to do next; no error ever carries a secret value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MlSecretsError(Exception):
    """Root of the tree. `message` says what happened, `hint` what to do next ("" when there is nothing to add)."""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Refusal(MlSecretsError):  # noqa: N818 - the family's name, as the field has it
    """The request is refused. `data` and `warnings` travel with the answer where the wire wants them (KV v2's 404)."""

    def __init__(
        self,
        message: str = "",
        *,
        hint: str = "",
        data: Mapping[str, Any] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.data = data
        self.warnings = tuple(warnings)


class Invalid(Refusal):
    """The request makes no sense as it stands."""


class Unauthenticated(Refusal):
    """No token, or one that is not known (any more)."""


class Denied(Refusal):
    """A known caller without the right."""


class NotFound(Refusal):
    """Nothing there."""


class Conflict(Refusal):
    """Somebody else was first."""


class TooLarge(Refusal):
    """More bytes than this server takes."""


class Limited(Refusal):
    """Too many requests. `retry_after` is in seconds."""

    def __init__(self, message: str = "", *, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unsupported(Refusal):
    """A known path, asked to do what it does not do."""


class Sealed(Refusal):
    """The server holds no key yet."""


class Fault(MlSecretsError):  # noqa: N818 - the family's name, as the field has it
    """Ours: the request was fine, and we failed it."""


class StoreFault(Fault):
    """The store cannot be read or written. After one the server seals itself and stops."""


class StoreFull(Fault):
    """The disk is full. Nothing of the transaction was written, reads go on, and so do writes once there is space."""


class TamperFault(Fault):
    """Stored bytes are not what we wrote: swapped, edited, truncated or rolled back."""


class AuditFault(Fault):
    """No audit device could record the request, so it was not carried out."""


class Unreachable(Fault):
    """No server answered."""


class Incomplete(MlSecretsError):  # noqa: N818 - the family's name, as the field has it
    """Some of several secrets cannot be had. `errors` has the error of each, by name."""

    def __init__(
        self, message: str = "", *, hint: str = "", errors: Mapping[str, MlSecretsError] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.errors = dict(errors or {})


class Leaked(MlSecretsError):  # noqa: N818 - the family's name, as the field has it
    """A guard stopped the value of a secret on its way out. Says whose value it was and where it stood, never the value."""
