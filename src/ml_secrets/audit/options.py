"""What a device is told when it is enabled, checked, and the sink that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ml_secrets.audit.sinks.file import FileSink, first_line, read_mode
from ml_secrets.audit.sinks.socket import KINDS, SocketSink, read_address
from ml_secrets.audit.sinks.stdout import StdoutSink
from ml_secrets.audit.sinks.syslog import SyslogSink, read_facility
from ml_secrets.domain.audit_chain import head_of
from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.audit.sinks import Sink

_TRUTH: Final = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_COMMON: Final = frozenset({"format", "log_raw", "prefix", "hmac_accessor"})
_OWN: Final = {
    "file": frozenset({"file_path", "path", "mode"}),
    "syslog": frozenset({"facility", "tag"}),
    "socket": frozenset({"address", "socket_type", "write_timeout"}),
}


class DeviceRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A device as stored (sealed). `path` ends in "/"; `configured` ones come from the configuration file and are not stored."""

    path: str
    kind: str
    description: str = ""
    options: dict[str, str] = msgspec.field(default_factory=dict)
    local: bool = False
    configured: bool = False


def check(row: DeviceRow) -> None:
    """Raises `Invalid` for options that this build does not know, or that would make a log unsafe."""
    own = _OWN.get(row.kind)
    if own is None:
        raise Invalid(f"unknown audit device type {row.kind!r}", hint="use file, syslog or socket")
    options = row.options
    unknown = sorted(options.keys() - own - _COMMON)
    if unknown:
        raise Invalid(
            f"unknown audit options: {', '.join(unknown)}",
            hint=f"{row.kind} knows {', '.join(sorted(own | _COMMON))}",
        )
    if _truth(options, "log_raw", default=False):
        raise Invalid(
            "log_raw is refused: this server never writes values to a log",
            hint="use sys/audit-hash to find a known value",
        )
    if options.get("format", "json") != "json":
        raise Invalid("the audit format is json", hint="leave out the format option")
    if options.get("prefix"):
        raise Invalid(
            "a prefix is refused: a line of the log is one JSON object", hint="leave out the prefix option"
        )
    _truth(options, "hmac_accessor", default=True)


def hmac_accessor(row: DeviceRow) -> bool:
    """Whether accessors are hashed."""
    return _truth(row.options, "hmac_accessor", default=True)


def sink_of(row: DeviceRow, now: Callable[[], float]) -> Sink:
    """The sink that the options ask for. Raises `Invalid`; nothing is opened yet."""
    try:
        if row.kind == "socket":
            return _socket(row.options, now)
        return {"file": _file, "syslog": _syslog}[row.kind](row.options)
    except ValueError as error:
        raise Invalid(str(error)) from None


def refuse_foreign(row: DeviceRow) -> None:
    """Raises `Invalid` for a file that holds anything but an audit log: nobody appends to other files through us."""
    if row.kind == "file" and _file_path(row.options) != "stdout":
        first = first_line(_file_path(row.options))
        if first and head_of(first.removesuffix(b"\n")) is None:
            raise Invalid(
                "the file holds something else than an audit log of this server", hint="name a new file"
            )


def _file_path(options: dict[str, str]) -> str:
    path = options.get("file_path") or options.get("path") or ""
    if not path:
        raise Invalid("file_path is required")
    if path != "stdout" and not path.startswith("/"):
        raise Invalid("file_path must be absolute, or stdout")
    if "\0" in path:
        raise Invalid("file_path holds a character that no file name has")
    return path


def _file(options: dict[str, str]) -> Sink:
    path = _file_path(options)
    mode = read_mode(options["mode"]) if options.get("mode") else None
    return StdoutSink() if path == "stdout" else FileSink(path, mode)


def _syslog(options: dict[str, str]) -> Sink:
    tag = options.get("tag", "ml-secrets")
    if not (tag.isascii() and tag.isprintable() and " " not in tag and 0 < len(tag) <= 64):
        raise Invalid("tag must be up to 64 printable ASCII characters without spaces")
    return SyslogSink(facility=read_facility(options.get("facility", "auth")), tag=tag)


def _socket(options: dict[str, str], now: Callable[[], float]) -> Sink:
    kind = options.get("socket_type", "tcp")
    if kind not in KINDS:
        raise Invalid(f"socket_type must be one of {', '.join(KINDS)}")
    if not options.get("address"):
        raise Invalid("address is required")
    timeout = parse_duration(options.get("write_timeout", "2s"))
    if not 0 < timeout <= 30:
        raise Invalid("write_timeout must be between 1s and 30s")
    return SocketSink(
        kind=kind, address=read_address(kind, options["address"]), timeout=float(timeout), now=now
    )


def _truth(options: dict[str, str], name: str, *, default: bool) -> bool:
    value = _TRUTH.get(options[name].lower()) if name in options else default
    if value is None:
        raise Invalid(f"{name} must be true or false")
    return value
