"""Making a root token from key shares: for the day when every root token is gone.

The token leaves XORed with a one-time password that only the one who started the attempt knows: those who give shares
see nothing they could use.
"""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.barrier.seals import locks, shamir
from ml_secrets.crypto.memory import wipe
from ml_secrets.domain.token import SERVICE_PREFIX
from ml_secrets.errors import Invalid
from ml_secrets.pipeline.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.barrier.barrier import Barrier
    from ml_secrets.registry.unit import Unit

TOKEN_LENGTH: Final = len(SERVICE_PREFIX) + 43
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class RootMaking:
    """The one attempt there may be. `new_root` makes a root token in a unit."""

    def __init__(
        self, barrier: Barrier, new_root: Callable[[Unit], str], random: Callable[[int], bytes]
    ) -> None:
        self._barrier = barrier
        self._new_root = new_root
        self._random = random
        self._lock = threading.RLock()
        self._shares = Shares(random)
        self._password = bytearray()

    def status(self) -> dict[str, Any]:
        """How far the attempt is."""
        with self._lock:
            return {
                "nonce": self._shares.nonce,
                "started": bool(self._shares.nonce),
                "progress": len(self._shares),
                "required": locks.decode(self._barrier.seal_config).threshold,
                "complete": False,
                "encoded_token": "",
                "encoded_root_token": "",
                "pgp_fingerprint": "",
                "otp": "",
                "otp_length": TOKEN_LENGTH,
            }

    def start(self, password: str) -> dict[str, Any]:
        """Begin an attempt. Without a password we make one, and tell it this once."""
        with self._lock:
            if password and len(password.encode()) != TOKEN_LENGTH:
                raise Invalid(
                    "OTP string has incorrect length",
                    hint=f"it must have {TOKEN_LENGTH} bytes, as a token has; leave it out to get one",
                )
            if self._shares.nonce:
                raise Invalid(
                    "root generation already in progress for this namespace", hint="finish it, or cancel it"
                )
            made = password or new_password(self._random)
            self._password[:] = made.encode()
            self._shares.begin()
            return self.status() | {"otp": "" if password else made}

    def cancel(self, nonce: str, *, trusted: bool) -> None:
        """Give the attempt up. `trusted` callers need no nonce. Nothing happens where there is none."""
        with self._lock:
            if not self._shares.nonce:
                return
            if nonce or not trusted:
                self._shares.check_nonce(nonce, "root generation")
            self.forget()

    def update(self, unit: Unit, key: str, nonce: str) -> dict[str, Any]:
        """One share; the encoded token comes with the last one needed. It lives once the unit is committed."""
        with self._lock:
            share = shamir.read_share(key)
            if not self._shares.nonce:
                raise Invalid("no root generation in progress", hint="start one first")
            self._shares.check_nonce(nonce, "root generation")
            if not self._shares.add(share):
                raise Invalid("given key has already been provided during this generation operation")
            config = locks.decode(self._barrier.seal_config)
            root_key = self._shares.root_key(config)
            if root_key is None:
                return self.status() | {"otp_length": 0}
            wipe(root_key)
            encoded = encode(self._new_root(unit).encode(), bytes(self._password))
            unit.after_commit(self.forget)
            done = {
                "progress": config.threshold,
                "complete": True,
                "encoded_token": encoded,
                "encoded_root_token": encoded,
                "otp_length": 0,
            }
            return self.status() | done

    def forget(self) -> None:
        """Drop the attempt with all it holds."""
        with self._lock:
            self._shares.wipe()
            wipe(self._password)
            self._password.clear()


def new_password(random: Callable[[int], bytes]) -> str:
    """Letters and digits, as many as a token has. Bytes that would favour some of them are thrown away."""
    fair = 256 - 256 % len(_LETTERS)
    found = ""
    while len(found) < TOKEN_LENGTH:
        found += "".join(_LETTERS[byte % len(_LETTERS)] for byte in random(TOKEN_LENGTH) if byte < fair)
    return found[:TOKEN_LENGTH]


def encode(token: bytes, password: bytes) -> str:
    """The token XORed with the password, in base64 without padding."""
    return base64.b64encode(bytes(a ^ b for a, b in zip(token, password, strict=True))).rstrip(b"=").decode()
