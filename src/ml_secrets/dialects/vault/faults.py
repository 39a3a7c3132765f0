"""Which status an error has on this wire, and what its body says. Errors are matched by class, never by text.

The body is {"errors": [...]} as clients parse it, with `hint` beside it: a member of ours that other clients ignore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ml_secrets import errors
from ml_secrets.dialects.vault.headers import HeadersTooLarge, WrongMedia

if TYPE_CHECKING:
    from ml_secrets.errors import MlSecretsError

STATUS: Final[tuple[tuple[type[MlSecretsError], int], ...]] = (
    (WrongMedia, 415),
    (HeadersTooLarge, 431),
    (errors.Invalid, 400),
    (errors.Unauthenticated, 403),
    (errors.Denied, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 400),
    (errors.TooLarge, 413),
    (errors.Limited, 429),
    (errors.Unsupported, 405),
    (errors.Sealed, 503),
    (errors.AuditFault, 503),
    (errors.StoreFault, 503),
    (errors.StoreFull, 507),
    (errors.Fault, 500),
)


def status_of(error: MlSecretsError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def texts_of(error: MlSecretsError) -> list[str]:
    """What `errors` in the body holds."""
    if not error.message:
        return []
    return [error.message]
