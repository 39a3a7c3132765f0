"""What a device may be told."""

import pytest

from ml_secrets.audit.options import DeviceRow, check, hmac_accessor, refuse_foreign, sink_of
from ml_secrets.audit.sinks.file import FileSink
from ml_secrets.audit.sinks.socket import SocketSink
from ml_secrets.audit.sinks.stdout import StdoutSink
from ml_secrets.audit.sinks.syslog import SyslogSink
from ml_secrets.errors import Invalid


def row(kind="file", **options):
    return DeviceRow(path="x/", kind=kind, options=options)


@pytest.mark.parametrize(
    ("kind", "options", "sink"),
    [
        ("file", {"file_path": "/tmp/a"}, FileSink),
        (
            "file",
            {"path": "/tmp/a", "mode": "0640", "format": "json", "log_raw": "false", "prefix": ""},
            FileSink,
        ),
        ("file", {"file_path": "stdout"}, StdoutSink),
        ("syslog", {"facility": "AUTH", "tag": "x", "hmac_accessor": "false"}, SyslogSink),
        ("syslog", {}, SyslogSink),
        ("socket", {"address": "127.0.0.1:9090"}, SocketSink),
        ("socket", {"address": "/run/x", "socket_type": "unix", "write_timeout": "5s"}, SocketSink),
    ],
)
def test_vaults_options_are_understood(kind, options, sink):
    """The options that Vault documents choose the sink."""
    check(row(kind, **options))
    assert isinstance(sink_of(row(kind, **options), lambda: 0.0), sink)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("http", {}, "unknown audit device type"),
        ("file", {"file_path": "/a", "log_raw": "true"}, "log_raw is refused"),
        ("file", {"file_path": "/a", "log_raw": "maybe"}, "true or false"),
        ("file", {"file_path": "/a", "format": "jsonx"}, "format is json"),
        ("file", {"file_path": "/a", "prefix": "#!/bin/sh"}, "prefix is refused"),
        ("file", {"file_path": "/a", "hmac_accessor": "2"}, "true or false"),
        ("file", {"file_path": "/a", "facility": "auth"}, "unknown audit options: facility"),
    ],
)
def test_unsafe_and_unknown_options_are_refused(kind, options, says):
    """Raw logging, other formats, prefixes (once a way to code execution) and what nobody knows are refused."""
    with pytest.raises(Invalid, match=says):
        check(row(kind, **options))


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("file", {}, "file_path is required"),
        ("file", {"file_path": "a"}, "absolute"),
        ("file", {"file_path": "/a\0b"}, "no file name"),
        ("file", {"file_path": "/a", "mode": "0777"}, "octal"),
        ("syslog", {"tag": "a b"}, "tag must be"),
        ("syslog", {"facility": "nope"}, "facility must be"),
        ("socket", {}, "address is required"),
        ("socket", {"address": "x"}, "host:port"),
        ("socket", {"address": "x" * 64 + ".example:1"}, "no host"),
        ("socket", {"address": "a..b:1", "socket_type": "udp"}, "no host"),
        ("socket", {"address": "x:1", "socket_type": "sctp"}, "socket_type"),
        ("socket", {"address": "x:1", "write_timeout": "1h"}, "write_timeout"),
    ],
)
def test_bad_values_are_refused(kind, options, says):
    """A value that its option cannot have is refused before anything is opened."""
    with pytest.raises(Invalid, match=says):
        sink_of(row(kind, **options), lambda: 0.0)


def test_accessors_are_hashed_unless_told_otherwise():
    """hmac_accessor is true by default."""
    assert hmac_accessor(row())
    assert not hmac_accessor(row(hmac_accessor="false"))


def test_files_of_others_are_not_appended_to(tmp_path):
    """137: a device cannot be pointed at a file that holds something else."""
    path = tmp_path / "authorized_keys"
    path.write_text("ssh-ed25519 AAAA\n")
    with pytest.raises(Invalid, match="something else"):
        refuse_foreign(row(file_path=str(path)))
    refuse_foreign(row(file_path=str(tmp_path / "new")))
    refuse_foreign(row(file_path="stdout"))
    refuse_foreign(row("syslog"))
