"""A listener's TLS: version 1.3, by OpenSSL. Its files are looked at first, so that each mistake is named."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ml_secrets.crypto import x509
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_secrets.server.config import Listener

_log: Final = logging.getLogger("ml_secrets.server")


def context_of(listener: Listener) -> ssl.SSLContext | None:
    """How a listener speaks TLS; None where it does not.

    Raises `Invalid` when one of its files cannot be used, or certificate and key not together. A certificate out of its
    time is warned of and served: clients refuse it, and that is for its owner to mend.
    """
    certificate, key, authorities = (
        listener.tls_cert_file,
        listener.tls_key_file,
        listener.tls_client_ca_file,
    )
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    _look(certificate, x509.check_certificate)
    _look(key, x509.check_key)
    _load(context, certificate, key)
    if authorities is not None:
        _look(authorities, x509.check_authorities)
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_REQUIRED if listener.tls_require_client_cert else ssl.CERT_OPTIONAL
    _warn_of_time(certificate)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        raise Invalid(
            f"cannot use {certificate} with {key}: {reason}",
            hint="does the key belong to the first certificate?",
        ) from None


def _warn_of_time(certificate: Path) -> None:
    reason = x509.out_of_time(certificate.read_bytes(), datetime.now(UTC))
    if reason:
        _log.warning(
            "%s: the certificate %s, and clients will refuse it: check this machine's clock, or put a new one there and send SIGHUP",
            certificate,
            reason,
        )


def _look(file: Path, check: Callable[[bytes], None]) -> None:
    try:
        check(file.read_bytes())
    except OSError as error:
        raise Invalid(
            f"cannot read {file}: {error.strerror}", hint="check the name; may the server's user read it?"
        ) from None
    except Invalid as error:
        raise Invalid(f"cannot use {file}: {error.message}", hint=error.hint) from None
