"""Request headers: who asks, in which namespace, and how the answer is to be wrapped.

A header that says who asks may come once only: two proxies that pick different ones of two must not disagree with us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ONCE: Final = {
    b"x-vault-token": "X-Vault-Token",
    b"authorization": "Authorization",
    b"x-vault-namespace": "X-Vault-Namespace",
    b"x-vault-wrap-ttl": "X-Vault-Wrap-TTL",
}
_RARE: Final = frozenset({b"content-encoding", b"x-vault-namespace", b"x-vault-wrap-format"})
_PRIVATE: Final = frozenset({b"x-vault-token", b"authorization", b"cookie", b"proxy-authorization"})


class WrongMedia(Invalid):
    """415: the body is compressed, or of another type than the verb takes."""


class HeadersTooLarge(TooLarge):
    """431: all headers together are too long."""


class PlainHeaders(Mapping[str, str]):
    """Every header but the private ones, as text, names in lower case. Most are never asked for, so each is read when it is."""

    __slots__ = ("_found",)

    def __init__(self, found: dict[bytes, bytes]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> str:
        if name not in self:
            raise KeyError(name)
        return self._found[_raw(name)].decode("latin-1")

    def __contains__(self, name: object) -> bool:
        raw = _raw(str(name))
        return raw in self._found and raw not in _PRIVATE

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._found if name not in _PRIVATE)

    def __len__(self) -> int:
        return len(self._found.keys() - _PRIVATE)


class Headers(msgspec.Struct):
    """What the headers say."""

    token: str | None
    wrap_ttl: str
    media_type: str
    plain: PlainHeaders


def read_headers(pairs: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Read the headers of a request (names in lower case). Raises `Invalid` for what contradicts itself."""
    found = dict(pairs)
    if len(found) != len(pairs):
        _check_once(pairs)
    if not _RARE.isdisjoint(found):
        _check_rare(found)
    return Headers(
        token=_token(found),
        wrap_ttl=_text(found, b"x-vault-wrap-ttl"),
        media_type=_text(found, b"content-type").lower(),
        plain=PlainHeaders(found),
    )


def _token(found: dict[bytes, bytes]) -> str | None:
    token = _text(found, b"x-vault-token")
    if b"authorization" not in found:
        return token or None
    kind, _, bearer = _text(found, b"authorization").partition(" ")
    bearer = bearer.strip() if kind.lower() == "bearer" else ""
    if token and bearer and token != bearer:
        raise Invalid("X-Vault-Token and the bearer token differ")
    return token or bearer or None


def _check_rare(found: dict[bytes, bytes]) -> None:
    if _text(found, b"content-encoding").lower() not in ("", "identity"):
        raise WrongMedia("compressed bodies are not accepted")
    check_namespace(_text(found, b"x-vault-namespace"))
    if _text(found, b"x-vault-wrap-format").lower() == "jwt":
        raise Invalid("wrapping tokens are not given as JWT", hint="leave out X-Vault-Wrap-Format")


def check_namespace(namespace: str) -> None:
    """Raises `Invalid` for any namespace but the root one."""
    if namespace.strip("/") not in ("", "root"):
        raise Invalid(
            "this server has only the root namespace", hint="leave out X-Vault-Namespace / VAULT_NAMESPACE"
        )


def _check_once(pairs: Sequence[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    for name, _ in pairs:
        if name in seen and name in _ONCE:
            raise Invalid(f"the {_ONCE[name]} header was sent twice")
        seen.add(name)


def _raw(name: str) -> bytes:
    """A name that no header can have stays one: none has a question mark."""
    return name.encode("latin-1", errors="replace")


def _text(found: dict[bytes, bytes], name: bytes) -> str:
    value = found.get(name)
    return "" if value is None else value.decode("latin-1").strip()
