"""A back end for `keyring`, which pip, twine, uv, poetry and others ask for the passwords of package indexes.

It looks at FOLDER/keyring/HOST/PATH, then at FOLDER/keyring/HOST (stored.py). `keyring` finds it by its entry point, or by
PYTHON_KEYRING_BACKEND=ml_secrets.integrations.keyring.Keyring. Where nothing is stored, or the user is another, it has none;
where the server refuses or does not answer it says so: an index is not to be tried without a password instead.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import MlSecretsError
from ml_secrets.integrations import stored
from ml_secrets.integrations.source import PASSWORD, USER, library, part
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from ml_secrets.client.client import Client
    from ml_secrets.client.secret import Secret

KIND: Final = "keyring"
PRIORITY: Final = 0.9
"""Below what a desktop has (1 and more), above what has nothing: containers and servers take it by themselves."""


def register() -> None:
    """For the entry point: `keyring` learns of the class by its being made."""
    _kind()


def __getattr__(name: str) -> Any:
    if name == "Keyring":
        return _kind()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _client() -> Client:
    from ml_secrets.client.client import Client  # noqa: PLC0415 - keyring loads every back end, and most are not asked

    return Client(cache_ttl=0)


@cache
def _kind() -> Any:
    errors = library("keyring.errors")
    simple = library("keyring.credentials").SimpleCredential

    class Keyring(library("keyring.backend").KeyringBackend):  # type: ignore[misc]
        """Passwords of indexes, out of ml-secrets."""

        priority = PRIORITY

        def get_password(self, service: str, username: str | None) -> str | None:
            """The password of that user there; None where none is stored."""
            found = self.get_credential(service, username)
            return None if found is None else str(found.password)

        def get_credential(self, service: str, username: str | None) -> Any:
            """User and password there; of that user, if one is named."""
            secret = _asked(errors.KeyringError, lambda client: _find(client, service))
            if secret is None:
                return None
            user = part(secret, *USER)
            return simple(user, part(secret, *PASSWORD)) if username in (None, "", user) else None

        def set_password(self, service: str, username: str, password: str) -> None:
            """Store them: for everybody who may read that secret."""
            fields = {"username": username, "password": Sensitive(password)}
            del password
            _asked(
                errors.PasswordSetError,
                lambda client: stored.keep(client, KIND, *stored.host_of(service), fields),
            )

        def delete_password(self, service: str, username: str) -> None:
            """Delete them, if they are that user's."""
            if self.get_credential(service, username) is None:
                raise errors.PasswordDeleteError("there is no such password")
            _asked(
                errors.PasswordDeleteError,
                lambda client: stored.forget(client, KIND, *stored.host_of(service)),
            )

    Keyring.__module__, Keyring.__qualname__ = __name__, "Keyring"
    return Keyring


def _find(client: Client, service: str) -> Secret | None:
    return stored.find(client, KIND, *stored.host_of(service))


def _asked(kind: Any, ask: Any) -> Any:
    """What the server says; its errors as the library's, in the same words."""
    try:
        with _client() as client:
            return ask(client)
    except MlSecretsError as error:
        told = kind(str(error))
    raise told
