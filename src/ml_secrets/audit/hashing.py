"""Values in the log: every text is an HMAC under the device's own key, so equal values can be told without being shown.

Rules, as observed on OpenBao: texts inside maps and lists are hashed one by one; numbers, truth values, null and the
keys of maps stay readable. A value is plain only where the operation declares its member plain, or where the mount
names the key that holds it (at any depth, as the tuning of mounts means it).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PREFIX: Final = "hmac-sha256:"
_BLOCK: Final = 64
_REMEMBERED: Final = 4096
_decode = msgspec.json.Decoder().decode


class Hasher:
    """HMAC-SHA256 under one device's key. The two keyed states are computed once: half the cost of a one-shot HMAC."""

    __slots__ = ("_inner", "_outer", "_remembered")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self._remembered: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def text(self, value: str) -> str:
        """`hmac-sha256:<hex>` of a text."""
        return PREFIX + self._hex(value.encode(errors="surrogatepass"))

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
        return {
            name: _shown(value) if name in plain else self._value(value, keys, shown=name in keys)
            for name, value in data.items()
        }

    def _value(self, value: Any, keys: Collection[str], *, shown: bool) -> Any:
        if type(value) is str:
            return value if shown else PREFIX + self._hex(value.encode(errors="surrogatepass"))
        if isinstance(value, msgspec.Raw):
            try:
                value = _decode(value)
            except (msgspec.MsgspecError, RecursionError, ValueError):
                return self.octets(bytes(value))
            return self._value(value, keys, shown=shown)
        if isinstance(value, dict):
            return {name: self._value(part, keys, shown=name in keys) for name, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(part, keys, shown=shown) for part in value]
        return self._rest(value, keys, shown=shown)

    def _rest(self, value: Any, keys: Collection[str], *, shown: bool) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Sensitive):
            return self.octets(value.reveal_bytes())
        if isinstance(value, bytes | bytearray):
            return self.octets(bytes(value))
        if isinstance(value, str):
            return self._value(str(value), keys, shown=shown)
        return self._value(msgspec.to_builtins(value), keys, shown=shown)

    def _hex(self, value: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(value)
        outer.update(inner.digest())
        return outer.hexdigest()


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
