"""The file device: whole lines or none, whatever happens to the disk, the file or the process."""

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ml_secrets.audit.device import Device
from ml_secrets.audit.entry import Scribe
from ml_secrets.audit.hashing import Hasher
from ml_secrets.audit.options import DeviceRow
from ml_secrets.audit.sinks import SinkFault
from ml_secrets.audit.sinks.file import FileSink, first_line, read_mode
from ml_secrets.audit.sinks.stdout import StdoutSink
from ml_secrets.domain.audit_chain import head_of, verify

KEY = b"v" * 32
RECORD = b'{"type":"request","request":{"id":"1","path":"secret/data/app"}}'
START = 1_800_000_000.0


def device(path, sink=None):
    hasher = Hasher(b"s" * 32)
    scribe = Scribe(hasher, hmac_accessor=True, headers={})
    row = DeviceRow(path="file/", kind="file")
    return Device(
        row,
        sink or FileSink(str(path)),
        hasher=hasher,
        scribe=scribe,
        verification_key=KEY,
        random=os.urandom,
    )


def write(one, records=(RECORD,), now=START):
    one.write(records, now, b"2027-01-15T08:00:00Z")


def verdict(*paths, head=None):
    with contextlib.ExitStack() as files:
        return verify([(p.name, files.enter_context(p.open("rb"))) for p in paths], keys=[KEY], head=head)


def segments(path):
    return [
        json.loads(line)["segment"] for line in path.read_bytes().splitlines() if b'"type":"segment"' in line
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.log"


@pytest.fixture
def room():
    """A function that lets this process' files grow to a size and no further, until the test ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_records_are_chained_lines(path):
    """Records become lines after the one that opens the log; an idle look writes nothing."""
    one = device(path)
    write(one)
    write(one, (RECORD, RECORD))
    write(one, ())
    assert path.read_bytes().count(b"\n") == 4
    assert verdict(path, head=one.head).intact
    assert path.stat().st_mode & 0o777 == 0o600


def test_mode_is_set_when_asked_for(path):
    """`mode` sets the permission bits, of a file that exists too; without it they stay."""
    path.touch(0o644)
    sink = FileSink(str(path))
    sink.open()
    sink.close()
    assert path.stat().st_mode & 0o777 == 0o644
    FileSink(str(path), 0o640).open()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("text", "mode"), [("0600", 0o600), ("640", 0o640), ("0000", None)])
def test_mode_is_octal(text, mode):
    """A mode is read as octal; 0000 means: leave it."""
    assert read_mode(text) == mode


@pytest.mark.parametrize("text", ["0755", "600x", "9999", "", "0o600", "６００", "-600", "60"])
def test_a_mode_that_executes_or_is_none_is_refused(text):
    """A log is never executable, and what is no octal number is refused."""
    with pytest.raises(ValueError, match="octal"):
        read_mode(text)


def test_a_symbolic_link_is_not_followed(path, tmp_path):
    """A link planted where the log should be is refused, and what it leads to stays as it was."""
    target = tmp_path / "target"
    target.write_text("mine")
    path.symlink_to(target)
    with pytest.raises(SinkFault, match="cannot open"):
        write(device(path))
    assert target.read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_plain_files_are_written(path, make):
    """A pipe or folder is refused at once: nothing waits for a reader."""
    make(path)
    with pytest.raises(SinkFault):
        write(device(path))


def test_one_file_has_one_device(path):
    """A second device on the same file is refused, and has it once the first is closed."""
    one, two = device(path), device(path)
    write(one)
    with pytest.raises(SinkFault, match="in use"):
        write(two)
    one.close()
    write(two)
    assert verdict(path).intact


def test_a_restart_carries_the_chain_on(path):
    """A new process goes on where the old one ended, in a segment of its own."""
    for _ in range(3):
        one = device(path)
        write(one)
        one.close()
    assert verdict(path, head=one.head).intact
    assert [segment["begins"] for segment in segments(path)] == [True, False, False]
    assert len({segment["run"] for segment in segments(path)}) == 3


@pytest.mark.parametrize("torn", [b"{", b'{"type":"request"' + b"x" * 200_000, b"\0" * 5000])
def test_a_torn_tail_is_cut_off_and_noted(path, torn):
    """105: what a killed process left of a line is cut off, and the next segment says how much it was."""
    one = device(path)
    write(one)
    one.close()
    with path.open("ab") as file:
        file.write(torn)
    two = device(path)
    write(two)
    found = verdict(path, head=two.head)
    assert found.intact
    assert f"{len(torn)} bytes" in found.notes[0]


def test_a_file_that_is_nothing_but_a_torn_line_begins_anew(path):
    """A file whose very first line was torn is empty after the repair, and begins as one."""
    path.write_bytes(b'{"type":"segm')
    one = device(path)
    write(one)
    assert verdict(path).intact
    assert segments(path)[0]["repaired"] == 13


def test_a_foreign_line_stays_and_is_found(path):
    """A whole line that is not ours is evidence: it stays, the server goes on, and the check names it."""
    one = device(path)
    write(one)
    one.close()
    with path.open("ab") as file:
        file.write(b"planted\n")
    two = device(path)
    write(two)
    assert b"planted\n" in path.read_bytes()
    assert verdict(path).problem.line == 3


def test_a_long_last_line_is_read_whole(path):
    """The chain goes on after a line longer than what is read at once."""
    one = device(path)
    write(one, (b'{"type":"request","x":"' + b"y" * 300_000 + b'"}',))
    one.close()
    two = device(path)
    write(two)
    assert verdict(path, head=two.head).intact


def test_a_full_disk_leaves_whole_lines(path, room):
    """105: a write that does not fit is cut off again; once there is room the same device goes on in the same chain."""
    one = device(path)
    write(one)
    size = path.stat().st_size
    for spare in (0, 1, 500):
        room(size + spare)
        with pytest.raises(SinkFault, match=r"cannot write"):
            write(one, (RECORD,) * 5)
        assert path.stat().st_size == size
    room(resource.RLIM_INFINITY)
    write(one)
    assert verdict(path, head=one.head).intact
    assert len(path.read_bytes().splitlines()) == 4


def fill(one):
    """Write until the disk is full; how many were written."""
    for written in range(1000):
        try:
            write(one)
        except SinkFault as fault:
            assert "space" in str(fault)  # noqa: PT017 - the count is wanted as well
            return written
    raise AssertionError("the disk never filled")


def test_a_full_file_system_leaves_whole_lines(tmp_path):
    """105: the same on a real full file system, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        path, ballast = disk / "audit.log", disk / "ballast"
        one = device(path)
        write(one)
        with contextlib.suppress(OSError):
            ballast.write_bytes(b"x" * 200_000)
        written = fill(one)
        assert path.read_bytes().endswith(b"\n")
        assert verdict(path, head=one.head).intact
        ballast.unlink()
        write(one)
        assert verdict(path, head=one.head).intact
        assert path.read_bytes().count(RECORD[:-1]) == written + 2
        one.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_moved_file_is_followed(path, tmp_path):
    """A file that was moved away is followed on request: the new one carries the chain on, and both check as one log."""
    one = device(path)
    one.follow()
    write(one)
    one.follow()
    old = path.rename(tmp_path / "audit.log.1")
    one.follow()
    write(one)
    assert verdict(old, path, head=one.head).intact
    assert verdict(path).intact
    assert segments(path)[0]["begins"] is True
    assert (
        json.loads(path.read_bytes().splitlines()[0])["prev"]
        == head_of(old.read_bytes().splitlines()[-1]).hash
    )


def test_a_moved_file_is_followed_within_a_second(path, tmp_path):
    """Nobody needs to ask: at most a second after the move, the next record goes to the new file."""
    one = device(path)
    write(one)
    write(one)
    old = path.rename(tmp_path / "audit.log.1")
    write(one, now=START + 0.5)
    assert not path.exists()
    write(one, now=START + 1.1)
    assert verdict(old, path, head=one.head).intact


def test_a_new_place_that_cannot_be_had_leaves_the_old_one(path, tmp_path):
    """When the new file cannot be opened the device stays with the old one, and records there."""
    one = device(path)
    write(one)
    old = path.rename(tmp_path / "audit.log.1")
    path.mkdir()
    with pytest.raises(SinkFault):
        one.follow()
    write(one)
    assert verdict(old, head=one.head).intact


def test_a_shortened_file_is_found_out(path):
    """Lines cut off the end behind the server's back show: the next segment says what had been written before."""
    one = device(path)
    write(one, (RECORD,) * 5)
    lines = path.read_bytes().splitlines(keepends=True)
    one._sink.close()
    one._open = False
    path.write_bytes(b"".join(lines[:3]))
    write(one)
    problem = verdict(path).problem
    assert problem.line == 4
    assert "record 6 had been written" in problem.what


def test_an_hour_opens_a_new_segment(path):
    """After an hour the next record comes under the next key."""
    one = device(path)
    for hour in range(3):
        write(one, now=START + 3600 * hour)
    assert [segment["number"] for segment in segments(path)] == [0, 1, 2]
    assert verdict(path).intact


def test_threads_and_rotation_lose_and_mix_nothing(path, tmp_path):
    """111: four writers while the file is moved away again and again: every record is there once, in one chain."""
    one, each, files = device(path), 250, []

    def work(name):
        for number in range(each):
            write(one, (b'{"type":"request","w":"%b-%d"}' % (name, number), b'{"type":"response"}'))

    threads = [threading.Thread(target=work, args=(name,)) for name in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and len(files) < 20:
        if path.exists():
            files.append(path.rename(tmp_path / f"old.{len(files)}"))
            one.follow()
    for thread in threads:
        thread.join()
    files = [file for file in (*files, path) if file.exists()]
    assert verdict(*files, head=one.head).intact
    records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    seen = [record["w"] for record in records if record["type"] == "request"]
    assert len(seen) == len(set(seen)) == 4 * each


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
import importlib.util
spec = importlib.util.spec_from_file_location("writer", sys.argv[3])
writer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(writer)
one = writer.device(sys.argv[1])
print("ready", flush=True)
while True:
    writer.write(one, (writer.RECORD,) * 50)
"""


def test_a_killed_process_leaves_a_log_that_carries_on(path):
    """89: after kill -9 in the middle of writing, the next process repairs the end and the whole log checks."""
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parents[3] / "src"), __file__],
            stdout=subprocess.PIPE,
        )
        assert child.stdout.readline() == b"ready\n"
        before = path.stat().st_size if path.exists() else 0
        while not path.exists() or path.stat().st_size < before + 100_000:
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    one = device(path)
    write(one)
    found = verdict(path, head=one.head)
    assert found.intact
    assert found.lines > 300


def test_a_repair_is_noted_even_if_the_disk_is_full_then(path, room):
    """What was found at opening is not forgotten when the first write fails: the next one tells it."""
    one = device(path)
    write(one)
    one.close()
    with path.open("ab") as file:
        file.write(b"torn")
    two = device(path)
    room(path.stat().st_size)
    with pytest.raises(SinkFault):
        write(two)
    room(resource.RLIM_INFINITY)
    write(two)
    assert segments(path)[-1]["repaired"] == 4
    assert verdict(path).intact


def test_a_stream_that_broke_shows_the_gap(tmp_path):
    """What a stream swallowed in part counts as written: the numbers go on, and the check finds the broken line."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    one = device(None, StdoutSink(write_end))
    write(one)
    with pytest.raises(SinkFault, match="standard output"):
        write(one, (b'{"type":"request","x":"' + b"y" * 200_000 + b'"}',))
    got = os.read(read_end, 1_000_000)
    write(one)
    got += os.read(read_end, 1_000_000)
    os.close(read_end)
    os.close(write_end)
    log = tmp_path / "collected"
    log.write_bytes(got)
    problem = verdict(log).problem
    assert problem.line == 3
    assert problem.what == "this is no record of an audit log"
    assert json.loads(got.splitlines()[-1])["seq"] == one.head.seq


def test_a_file_system_that_fails_is_a_fault(path, monkeypatch):
    """A file system that cannot lock (or read, or cut) is a fault like any other, and no descriptor is left open."""

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(SinkFault, match="No locks available"):
        write(device(path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_first_line_tells_what_a_file_is(path, tmp_path):
    """The first line of a file; none for one that is not there or not to be read."""
    assert first_line(str(path)) == b""
    path.write_bytes(b"one\ntwo\n")
    assert first_line(str(path)) == b"one\n"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert first_line(str(link)) == b""


def test_a_closed_device_writes_nothing(path):
    """Whoever still holds it while the server seals, after its key is gone, gets a fault; nothing that does not verify is written."""
    one = device(path)
    write(one)
    one.close()
    before = path.read_bytes()
    with pytest.raises(SinkFault, match="it is closed"):
        write(one)
    assert path.read_bytes() == before


def test_a_closed_sink_has_moved(path):
    """A sink that holds no file, or whose file is gone, is to be opened again."""
    sink = FileSink(str(path))
    assert sink.moved()
    sink.open()
    assert not sink.moved()
    path.unlink()
    assert sink.moved()
    sink.close()
    sink.close()
