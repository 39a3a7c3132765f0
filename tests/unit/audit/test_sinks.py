"""Standard output, syslog and sockets, each against a real other side."""

import contextlib
import os
import socket
import threading
import time

import pytest

from ml_secrets.audit.sinks import SinkFault
from ml_secrets.audit.sinks.socket import SocketSink, read_address
from ml_secrets.audit.sinks.stdout import StdoutSink
from ml_secrets.audit.sinks.syslog import SyslogSink, read_facility

LINES = b'{"a":1}\n{"b":2}\n'


def test_stdout_writes_all_of_it():
    """More than a pipe takes at once is written in pieces, whole."""
    read, write = os.pipe()
    sink, parts = StdoutSink(write), []
    assert sink.open().empty
    assert not sink.moved()

    def drain():
        while part := os.read(read, 65536):
            parts.append(part)

    reader = threading.Thread(target=drain)
    reader.start()
    sink.write(LINES * 20_000)
    sink.close()
    os.close(write)
    reader.join()
    os.close(read)
    assert b"".join(parts) == LINES * 20_000


def test_stdout_without_a_reader_fails():
    """A closed standard output is a fault, and nothing arrived."""
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(SinkFault, match="standard output") as fault:
        StdoutSink(write).write(LINES)
    assert not fault.value.reached
    os.close(write)


@pytest.fixture
def daemon(tmp_path):
    """A syslog daemon's socket."""
    address = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(address)
        there.settimeout(5)
        yield there, address


def test_syslog_gets_a_datagram_a_record(daemon):
    """Each record is one datagram with facility, severity and tag in front."""
    there, address = daemon
    sink = SyslogSink(facility="local0", tag="vaulted", address=address)
    assert sink.open().empty
    sink.write(LINES)
    assert there.recv(1000) == b'<134>vaulted: {"a":1}'
    assert there.recv(1000) == b'<134>vaulted: {"b":2}'
    assert not sink.moved()
    sink.close()
    sink.close()
    with pytest.raises(SinkFault, match="not connected"):
        sink.write(LINES)


def test_syslog_that_is_not_there_fails(daemon, tmp_path):
    """No daemon, a daemon that went away, and a record too long for a datagram are faults."""
    there, address = daemon
    with pytest.raises(SinkFault, match="cannot reach syslog"):
        SyslogSink(facility="auth", tag="x", address=str(tmp_path / "nothing")).open()
    sink = SyslogSink(facility="auth", tag="x", address=address)
    sink.open()
    with pytest.raises(SinkFault) as fault:
        sink.write(b"x\n" + b"y" * 10_000_000)
    assert fault.value.reached
    sink.open()
    there.close()
    with pytest.raises(SinkFault, match="cannot write to syslog") as fault:
        sink.write(LINES)
    assert not fault.value.reached


def test_facilities_are_syslogs_own():
    """Facilities are known by name in any case; others are refused."""
    assert read_facility("AUTH") == "auth"
    with pytest.raises(ValueError, match="facility must be one of"):
        read_facility("nope")


@contextlib.contextmanager
def receive(kind, address):
    """A listening socket of that kind, and its address for the sink."""
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    there = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    there.bind(address if kind == "unix" else ("127.0.0.1", 0))
    if kind != "udp":
        there.listen()
    there.settimeout(5)
    with there:
        yield there, address if kind == "unix" else f"127.0.0.1:{there.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_stream_gets_lines_and_is_reached_again(kind, tmp_path):
    """Lines arrive whole; when the collector hangs up the next write fails without losing anything, and then reconnects."""
    with receive(kind, str(tmp_path / "s")) as (there, address):
        sink = SocketSink(kind=kind, address=address, timeout=2.0, now=time.monotonic)
        assert sink.open().empty
        with there.accept()[0] as stream:
            sink.write(LINES)
            assert stream.recv(1000) == LINES
        with pytest.raises(SinkFault, match="cannot write") as fault:
            sink.write(LINES)
        assert not fault.value.reached
        sink.open()
        with there.accept()[0] as stream:
            sink.write(LINES)
            assert stream.recv(1000) == LINES
        assert not sink.moved()
        sink.close()
        sink.close()
        with pytest.raises(SinkFault, match="not connected"):
            sink.write(LINES)


def test_udp_gets_a_datagram_a_record():
    """Each record is one datagram."""
    with receive("udp", "") as (there, address):
        sink = SocketSink(kind="udp", address=address, timeout=2.0, now=time.monotonic)
        sink.open()
        sink.write(LINES)
        assert (there.recv(1000), there.recv(1000)) == (b'{"a":1}\n', b'{"b":2}\n')
        sink.close()


def test_a_collector_that_does_not_read_is_given_up_and_left_alone():
    """A write that is not taken in time fails, having perhaps reached; for a second nobody even tries to connect again, and then they do."""
    moments = [1000.0]
    with receive("tcp", "") as (there, address):
        sink = SocketSink(kind="tcp", address=address, timeout=0.2, now=lambda: moments[-1])
        sink.open()
        with there.accept()[0]:
            with pytest.raises(SinkFault, match="no answer in time") as fault:
                sink.write(b"x" * 50_000_000)
            assert fault.value.reached
            there.setblocking(False)
            for soon in (1000.0, 1000.999):
                moments.append(soon)
                with pytest.raises(SinkFault, match="a moment ago"):
                    sink.open()
                with pytest.raises(BlockingIOError):
                    there.accept()
            moments.append(1001.0)
            sink.open()
            there.accept()[0].close()
            sink.close()


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_a_collector_that_is_not_there_fails(kind, tmp_path):
    """No collector is a fault that names where it should be."""
    with receive(kind, str(tmp_path / "s")) as (_, address):
        pass
    sink = SocketSink(kind=kind, address=address, timeout=1.0, now=time.monotonic)

    def send():
        for _ in range(3):
            sink.open()
            sink.write(LINES)
            time.sleep(0.05)

    with pytest.raises(SinkFault) as fault:
        send()
    assert address in str(fault.value)


def test_addresses_are_checked():
    """host:port for networks, an absolute path for a socket file."""
    assert read_address("tcp", "[::1]:9000") == "[::1]:9000"
    assert read_address("unix", "/run/x") == "/run/x"
    for kind, address in (
        ("tcp", "host"),
        ("udp", ":1"),
        ("tcp", "h:0"),
        ("tcp", "h:70000"),
        ("tcp", "h:１"),
        ("unix", "x"),
    ):
        with pytest.raises(ValueError, match="address must be"):
            read_address(kind, address)


def test_a_socket_whose_path_is_too_long_is_told_so():
    """The reason is the system's, not a timeout that never was."""
    sink = SocketSink(kind="unix", address="/" + "a" * 200, timeout=1.0, now=lambda: 0.0)
    with pytest.raises(SinkFault, match="too long"):
        sink.open()
