"""audit/reach.py: whether a log still has the record that is known to have been written."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.audit import reach
from ml_secrets.audit.chain import Chain
from ml_secrets.domain.audit_chain import Head, head_of

KEY = b"v" * 32


class Log:
    """Lines of a log, and the chain to go on with."""

    def __init__(self, count=20, key=KEY):
        self.chain = Chain(key, os.urandom)
        self.lines = [self.chain.opening(0.0, "t", begins=True)]
        self.add(count - 1)

    def add(self, count):
        self.lines += [self.chain.seal([b'{"type":"request"}']) for _ in range(count)]

    def rotated(self, count=5):
        """The lines of the file after this one."""
        self.chain.turn()
        before = len(self.lines)
        self.lines.append(self.chain.opening(1.0, "t", begins=True))
        self.add(count - 1)
        return self.lines[before:]

    def head(self, seq):
        return head_of(self.lines[seq - 1].rstrip(b"\n"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit[1].log"


def problem(path, lines, known, key=KEY):
    path.write_bytes(b"".join(lines))
    return reach.problem(path, known, key)


@pytest.mark.parametrize("seq", [1, 2, 19, 20])
def test_a_log_that_has_the_record_is_fine(path, seq):
    """Wherever it is; with more after it; with a torn line at the end, which the device will cut off."""
    log = Log()
    assert problem(path, log.lines, log.head(seq)) == ""
    assert problem(path, [*log.lines, log.lines[3][:-9]], log.head(seq)) == ""


def test_a_log_that_was_cut_back_is_not(path):
    """By one line, by part of one, or down to the first."""
    log = Log()
    for lines in (log.lines[:-1], [*log.lines[:-1], log.lines[-1][:-1]], log.lines[:1]):
        assert "was cut back: it had reached record 20" in problem(path, lines, log.head(20))


def test_another_log_is_not(path):
    """As long, or longer; nor one in which only that line is another."""
    log, other = Log(), Log(40)
    for lines in (other.lines[:20], other.lines, [*log.lines[:19], other.lines[19]]):
        assert "record 20 is another" in problem(path, lines, log.head(20))


def test_a_log_that_was_rotated_since_is_fine(path):
    """Its first line follows the record, or a later one, and is this store's; the older file may be anywhere."""
    log = Log()
    later = log.rotated()
    for seq in (20, 17, 1):
        assert problem(path, later, log.head(seq)) == ""
    assert (
        problem(path, later[:1], log.head(22))
        == f"the audit log {path} was cut back: it had reached record 22, which is not there"
    )


def test_a_log_that_only_looks_rotated_is_not(path):
    """A first line that does not follow the record, that opens no file, or that is not this store's."""
    log, other, foreign = Log(), Log(), Log(key=b"w" * 32)
    for lines in (other.rotated(), foreign.rotated()):
        assert "does not follow record 20" in problem(path, lines, log.head(20))
    log.rotated()
    for lines in (foreign.rotated(), log.lines[22:]):
        assert "does not follow record 15" in problem(path, lines, log.head(15))


def test_the_record_may_be_in_a_file_beside(path):
    """Rotated while no server ran: the log is empty, gone, or has begun anew. Other files do not matter."""
    log = Log()
    path.with_name(path.name + ".2.gz").write_bytes(os.urandom(200_000))
    path.with_name(path.name + ".1").write_bytes(b"".join(log.lines))
    path.with_name(path.name + "-folder").mkdir()
    assert reach.problem(path, log.head(20), KEY) == ""
    assert problem(path, [], log.head(20)) == ""
    assert problem(path, Log(2).lines, log.head(20)) == ""
    assert "cut back" in problem(path, Log(2).lines, Head(21, "0" * 64))


@pytest.mark.parametrize("lines", [[], [b'{"torn'], None])
def test_a_log_that_is_gone_is_told_apart(path, lines):
    """A rotation leaves the same, so it is for the caller to say it loudly."""
    log = Log()
    if lines is not None:
        path.write_bytes(b"".join(lines))
    with pytest.raises(reach.Gone, match="knows 20 records of it"):
        reach.problem(path, log.head(20), KEY)


def test_a_log_that_cannot_be_read_is_gone_too(path, tmp_path):
    """A link is not followed."""
    log = Log()
    (tmp_path / "other").write_bytes(b"".join(log.lines))
    path.symlink_to(tmp_path / "other")
    with pytest.raises(reach.Gone, match="cannot be read"):
        reach.problem(path, log.head(20), KEY)
    reach.sync(path)


def test_a_log_is_made_durable(path, monkeypatch):
    """If there is one."""
    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), real(file)))
    reach.sync(path)
    path.write_bytes(b"x")
    reach.sync(path)
    assert synced == [path.stat().st_ino]


def test_heads_are_read_back():
    """Whatever devices are called."""
    one, two = Head(7, "a" * 64), Head(10**17, "b" * 64)
    text = f"file/7:{one.hash} my logs/second 3:x/{two.seq}:{two.hash}"
    assert reach.read_heads(text) == {"file/": one, "my logs/second 3:x/": two}
    assert reach.read_heads("") == {}


@given(
    st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=30),
    st.binary(max_size=5),
    st.integers(1, 20),
)
@settings(max_examples=200, deadline=None)
def test_lines_from_the_end(tmp_path_factory, lines, torn, size):
    """In chunks of any size they are the lines from the beginning, turned round."""
    torn = torn.replace(b"\n", b"")
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    before, reach._CHUNK = reach._CHUNK, size
    try:
        with path.open("rb") as file:
            assert list(reach._backwards(file)) == lines[::-1]
    finally:
        reach._CHUNK = before
