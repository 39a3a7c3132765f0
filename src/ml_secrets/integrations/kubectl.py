"""kubectl's exec plug-in: a token, or a client certificate and its key, for a cluster. For every client of client-go, too.

kubectl says in KUBERNETES_EXEC_INFO which version of the answer it wants. The fields of the secret: `token`, or
`client_certificate` (or `certificate`) and `client_key` (or `private_key`), in PEM; one field of any name is a token.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.errors import Invalid
from ml_secrets.integrations.source import optional

if TYPE_CHECKING:
    from datetime import datetime

    from ml_secrets.client.secret import Secret

VARIABLE: Final = "KUBERNETES_EXEC_INFO"
_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CERTIFICATE: Final = ("client_certificate", "certificate", "clientCertificateData")
_KEY: Final = ("client_key", "private_key", "clientKeyData")


def answer(secret: Secret, info: str, *, again_at: datetime | None) -> dict[str, Any]:
    """The ExecCredential. kubectl keeps it until `expirationTimestamp`, or until it is refused."""
    status: dict[str, str] = {}
    certificate, key = optional(secret, *_CERTIFICATE), optional(secret, *_KEY)
    if certificate and key:
        status |= {"clientCertificateData": certificate, "clientKeyData": key}
    if (token := optional(secret, "token")) is not None:
        status["token"] = token
    elif not status:
        status["token"] = secret.reveal() if len(secret) == 1 or "value" in secret else ""
    if not any(status.values()):
        raise Invalid(
            f"{secret.name!r} has neither a token nor a certificate with its key",
            hint=f"it has {', '.join(sorted(secret))}",
        )
    ends = [moment for moment in (secret.ends_at, again_at) if moment is not None]
    if ends:
        status["expirationTimestamp"] = min(ends).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"apiVersion": version(info), "kind": "ExecCredential", "status": status}


def version(info: str) -> str:
    """The version that is asked for; the present one where nothing is said. Raises `Invalid` for one that we do not speak."""
    try:
        asked = msgspec.json.decode(info).get("apiVersion", "") if info else _VERSIONS[0]
    except (msgspec.DecodeError, AttributeError):
        asked = ""
    if asked not in _VERSIONS:
        raise Invalid(
            f"{VARIABLE} asks for a version that is not known", hint=f"known are {', '.join(_VERSIONS)}"
        )
    return str(asked)
