"""Where a line of an audit log stands: at the head of a file, after another, and under which name a fault is told."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ml_secrets.audit.chain import Chain
from ml_secrets.domain import audit_chain
from ml_secrets.domain.audit_chain import NO_HASH, Head, Problem, verify

KEY = b"v" * 32
BEGINS = {"type": "segment", "segment": {"run": "ab", "number": 0, "key": "cd", "begins": True}}
NEXT = {"type": "segment", "segment": BEGINS["segment"] | {"number": 1}}
CHANGED = "the line was changed after it was written"


def sha(line):
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def line(seq, prev, record):
    """A line as anybody can write it who has no key."""
    text = json.dumps(record, separators=(",", ":"))[:-1]
    return f'{text},"seq":{seq},"prev":"{prev}","mac":"{NO_HASH}"}}\n'.encode()


def chained(*records, seq=1, prev=NO_HASH):
    lines = []
    for number, record in enumerate(records, seq):
        lines.append(line(number, prev, record))
        prev = sha(lines[-1])
    return lines


def plain(*files):
    return verify([(f"log.{number}", lines) for number, lines in enumerate(files, 1)])


def test_what_anybody_writes_passes_without_the_key():
    """Which the tests below rest on: it is what they change that is found."""
    assert plain(chained(BEGINS, {"n": 1}, {"n": 2})).intact


@pytest.mark.parametrize("keys", [(), (KEY,)])
def test_a_log_without_its_first_hours_is_found(keys):
    """Also where it was cut off just ahead of the line that opens the next segment."""
    chain = Chain(KEY, bytes)
    lines = [chain.opening(0.0, "t", begins=True), chain.seal([b'{"type":"request"}'])]
    chain.turn()
    lines += [chain.opening(3600.0, "t", begins=False), chain.seal([b'{"type":"request"}'])]
    problem = verify([("log", lines[2:])], keys=keys).problem
    assert (problem.file, problem.line) == ("log", 1)
    assert problem.what.startswith("the file does not begin with the line that opens a log")


def test_a_record_that_only_says_it_begins_is_found():
    """The line that opens a log is one that opens a segment."""
    problem = plain(chained(BEGINS | {"type": "request"})).problem
    assert problem.what.startswith("the file does not begin with")


def test_a_first_line_with_another_number_is_found():
    """What has nothing before it is record 1."""
    assert plain([line(2, NO_HASH, BEGINS)]).problem == Problem("log.1", 1, CHANGED)
    assert plain([line(2, "ab" * 32, BEGINS)]).intact  # the log before it was taken away, which is allowed


def test_a_line_in_the_midst_is_chained_to_the_one_before():
    """One that claims to have nothing before it is not; nor is the first of the next file, but for record 1."""
    log = chained(BEGINS, {"n": 1})
    assert plain([*log, line(3, NO_HASH, {"n": 2})]).problem == Problem("log.1", 2, CHANGED)
    assert plain(log, [line(3, NO_HASH, NEXT)]).problem == Problem("log.1", 2, CHANGED)
    assert plain(log, [line(3, sha(log[-1]), NEXT)]).intact
    assert plain(log, [line(1, "ab" * 32, NEXT)]).problem.what.startswith("record 1 comes after record 2")
    anew = plain(log, [line(1, NO_HASH, NEXT)])
    assert anew.intact
    assert len(anew.notes) == 1


def test_a_number_within_a_record_is_not_its_place():
    """The last one on the line is."""
    lines = chained(BEGINS, {"n": {"at": 1, "seq": 9}})
    assert plain(lines).intact
    assert audit_chain.head_of(lines[1].rstrip(b"\n")).seq == 2


def test_a_fault_is_told_with_its_file_and_line():
    """In the file that it is in, though the next one's first line is what tells it."""
    one = chained(BEGINS, {"n": 1})
    two = chained(NEXT, {"n": 2}, seq=3, prev=sha(one[-1]))
    assert plain(one, two).intact
    changed = [one[0], one[1].replace(b'"n":1', b'"n":7')]
    assert plain(changed, two).problem == Problem("log.1", 2, CHANGED)
    vouched = chained({"n": 3}, seq=4, prev=sha(two[0]))
    assert plain(one, [two[0].replace(sha(one[-1]).encode(), b"ab" * 32), *vouched]).problem == Problem(
        "log.2", 1, CHANGED
    )


def test_nothing_where_records_are_known_is_told_without_a_line():
    """There is none to name."""
    problem = verify([], head=Head(1, NO_HASH)).problem
    assert (problem.file, problem.line) == ("", 0)
    assert problem.what.startswith("the log ends at record 0, but record 1 is known")


def test_a_log_of_years_ago_is_still_checked():
    """The labels under which keys follow from each other never change."""

    def expand(info):
        return HKDFExpand(SHA256(), 32, info).derive(KEY)

    assert audit_chain.next_key(KEY) == expand(b"ml-secrets audit next")
    assert audit_chain.first_key(KEY, "ab") == expand(b"ml-secrets audit run\0ab")
    assert audit_chain.key_id(KEY) == expand(b"ml-secrets audit key id")[:8].hex()
