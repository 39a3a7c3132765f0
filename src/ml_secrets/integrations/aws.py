"""AWS: credentials for boto3 and botocore that are looked up at each request, and the answer of a `credential_process`.

The fields of the secret, as Vault's AWS engine and as AWS itself call them: `access_key` or `access_key_id`, `secret_key` or
`secret_access_key`, and, of temporary credentials, `session_token` or `security_token`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.integrations.source import Source, library, optional, part, source

if TYPE_CHECKING:
    from ml_secrets.client.secret import Secret

ACCESS_KEY: Final = ("access_key", "access_key_id", "aws_access_key_id", "AWS_ACCESS_KEY_ID")
SECRET_KEY: Final = ("secret_key", "secret_access_key", "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY")
SESSION_TOKEN: Final = (
    "session_token",
    "security_token",
    "aws_session_token",
    "AWS_SESSION_TOKEN",
)


def keys(secret: Secret) -> tuple[str, str, str | None]:
    """Access key, secret key and, of temporary credentials, session token."""
    token = optional(secret, *SESSION_TOKEN) or None
    return part(secret, *ACCESS_KEY), part(secret, *SECRET_KEY), token


def credentials(what: str | Source) -> Any:
    """Credentials of botocore that are the source's at each request.

    Give them to a session of botocore, or use `session`. After a rotation, or when a lease is replaced, the next request is
    signed with the new ones: clients that exist go on.
    """
    return _kind()(source(what))


def session(what: str | Source, **settings: Any) -> Any:
    """A session of boto3 with such credentials: `session("aws/train", region_name="eu-west-1").client("s3")`."""
    boto3, botocore = library("boto3"), library("botocore.session")
    inner = botocore.get_session()
    inner._credentials = credentials(what)  # noqa: SLF001 - botocore has no other way to hand over an object
    return boto3.Session(botocore_session=inner, **settings)


def process_answer(secret: Secret, *, now: datetime, again_after: timedelta) -> dict[str, Any]:
    """What a `credential_process` prints. SDKs run it again ahead of `Expiration`, so there always is one."""
    access_key, secret_key, token = keys(secret)
    end = now + again_after if secret.ends_at is None else min(secret.ends_at, now + again_after)
    answer = {
        "Version": 1,
        "AccessKeyId": access_key,
        "SecretAccessKey": secret_key,
        "Expiration": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return answer | ({} if token is None else {"SessionToken": token})


@cache
def _kind() -> Any:
    library("boto3")
    frozen = library("botocore.credentials").ReadOnlyCredentials

    class LiveCredentials(library("botocore.credentials").Credentials):  # type: ignore[misc]
        """Those of the source, at each look."""

        method = "ml-secrets"
        account_id = None

        def __init__(self, kept: Source) -> None:
            self._source = kept

        def get_frozen_credentials(self) -> Any:
            """What a request is signed with."""
            return frozen(*keys(self._source.get()), None)

        access_key = property(lambda self: self.get_frozen_credentials().access_key)
        secret_key = property(lambda self: self.get_frozen_credentials().secret_key)
        token = property(lambda self: self.get_frozen_credentials().token)

        def __repr__(self) -> str:
            return "<LiveCredentials>"

    return LiveCredentials
