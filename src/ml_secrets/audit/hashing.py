"""Values in the log: every text is an HMAC under the device's own key, so equal values can be told without being shown.

Rules, as observed on OpenBao: texts inside maps and lists are hashed one by one; numbers, truth values, null and the
keys of maps stay readable. A value is plain only where the operation declares its member plain, or where the mount
names the key that holds it (at any depth, as the tuning of mounts means it).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.crypto.hmac import keyed_states
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREFIX: Final = "hmac-sha256:"
_CLEAR: Final = frozenset({int, float, bool, type(None)})
_REMEMBERED: Final = 4096
_decode = msgspec.json.Decoder().decode


class Hasher:
    """HMAC-SHA256 under one device's key. The two keyed states are computed once: that halves the cost of each."""

    __slots__ = ("_empty", "_inner", "_outer", "_remembered")

    def __init__(self, key: bytes) -> None:
        self._inner, self._outer = keyed_states(key)
        self._empty = PREFIX + self._hex(b"")
        self._remembered: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def text(self, value: str) -> str:
        """`hmac-sha256:<hex>` of a text."""
        return PREFIX + self._hex(_octets(value))

    def octets(self, value: bytes) -> str:
        """`hmac-sha256:<hex>` of bytes."""
        return PREFIX + self._hex(value)

    def token(self, key: str, token: str, accessor: str) -> tuple[str, str]:
        """The hashes of a token and its accessor, remembered under `key`, which is itself an HMAC of the token."""
        found = self._remembered.get(key)
        if found is None:
            found = self.text(token), self.text(accessor) if accessor else ""
            self._remembered[key] = found
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return found

    def members(
        self, data: Mapping[str, Any], plain: Collection[str], keys: Collection[str]
    ) -> dict[str, Any]:
        """`data` with its texts hashed. Members named in `plain` are shown whole; texts under a key in `keys` are shown."""
        found: dict[str, Any] = {}
        for name, value in data.items():
            if type(value) in _CLEAR:
                found[name] = value
                continue
            try:
                found[name] = _shown(value) if name in plain else self._value(value, keys, name in keys)
            except RecursionError:
                found[name] = "too deep to be recorded"
        return found

    def _value(self, value: Any, keys: Collection[str], shown: bool) -> Any:  # noqa: PLR0911 - one for each kind of value
        kind = type(value)
        if kind is str:
            if shown:
                return value
            if not value:
                return self._empty
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(_octets(value))
            outer.update(inner.digest())
            return PREFIX + outer.hexdigest()
        if kind is dict:
            return {name: self._value(part, keys, name in keys) for name, part in value.items()}
        if kind in _CLEAR:
            return value
        if kind is list:
            return [self._value(part, keys, shown) for part in value]
        return self._rare(value, keys, shown)

    def _rare(self, value: Any, keys: Collection[str], shown: bool) -> Any:  # noqa: PLR0911 - one for each kind of value
        """Values of other types. Bytes, whatever is secret by its type, and JSON that cannot be read, are always hashed."""
        if isinstance(value, msgspec.Raw):
            try:
                return self._value(_decode(value), keys, shown)
            except (msgspec.MsgspecError, ValueError):
                return self.octets(bytes(value))
        if isinstance(value, Sensitive):
            return self.octets(value.reveal_bytes())
        if isinstance(value, bytes | bytearray):
            return self.octets(bytes(value))
        if isinstance(value, str):
            return self._value(str.__str__(value), keys, shown)
        if isinstance(value, dict):
            return self._value(dict(value), keys, shown)
        if isinstance(value, list | tuple | set | frozenset):
            return self._value(list(value), keys, shown)
        return self._value(msgspec.to_builtins(value), keys, shown)

    def _hex(self, value: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.hexdigest()


def _octets(text: str) -> bytes:
    """UTF-8, also of half a character, which no decoder of ours lets in."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def _shown(value: Any) -> Any:
    """A declared-plain value. What is secret by its type stays masked even there."""
    if isinstance(value, dict):
        return {name: _shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part) for part in value]
    if isinstance(value, Sensitive):
        return str(value)
    if isinstance(value, msgspec.Raw):
        try:
            return _decode(value)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return "unreadable"
    return value
