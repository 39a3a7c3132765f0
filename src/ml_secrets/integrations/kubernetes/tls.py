"""The webhook's certificate: TLS 1.3, read anew when its files were renewed.

The files are looked at with each connection, which costs two or three microseconds and needs no signal. What cannot be used leaves the old one in
use, and health says why: a renewal writes two files, and may be met half-way.
"""

from __future__ import annotations

import ssl
from threading import Lock
from typing import TYPE_CHECKING

from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path


class Certificate:
    """A certificate with its key; `authorities`: who asks may show a certificate by one of them."""

    def __init__(self, certificate: Path, key: Path, authorities: Path | None) -> None:
        """Read them. Raises `Invalid` where they cannot be used."""
        self._files = [certificate, key, *([authorities] if authorities else [])]
        self._authorities = authorities
        self._alone = Lock()
        self._seen = self._stamp()
        self._context = self._read()
        self.problem = ""

    def context(self) -> ssl.SSLContext:
        """How the next connection is spoken."""
        with self._alone:
            try:
                seen = self._stamp()
                if seen != self._seen:
                    self._context, self._seen, self.problem = self._read(), seen, ""
            except Invalid as error:
                self.problem = error.message
            return self._context

    def _stamp(self) -> list[tuple[int, int, int]]:
        found = []
        for file in self._files:
            try:
                about = file.stat()
            except OSError as error:
                raise Invalid(
                    f"cannot read {file}: {error.strerror}", hint="check the name and its rights"
                ) from None
            found.append((about.st_ino, about.st_mtime_ns, about.st_size))
        return found

    def _read(self) -> ssl.SSLContext:
        certificate, key, *_ = self._files
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.set_alpn_protocols(["http/1.1"])
        try:
            made.load_cert_chain(certificate, key, password=lambda: "")  # else a terminal is asked for it
            if self._authorities is not None:
                made.load_verify_locations(self._authorities)
                made.verify_mode = ssl.CERT_OPTIONAL
        except (OSError, ssl.SSLError) as error:
            reason = (
                getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            )
            raise Invalid(
                f"cannot use {certificate} with {key}: {reason}",
                hint="does the key belong to the first certificate?",
            ) from None
        return made
