"""The chain: written here, checked in domain/audit_chain.py."""

import json
import math

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.audit.chain import Chain
from ml_secrets.domain import audit_chain
from ml_secrets.domain.audit_chain import NO_HASH, Head, head_of, verify

KEY = b"v" * 32


def counter():
    numbers = iter(range(1, 1000))
    return lambda size: next(numbers).to_bytes(size, "big")


RANDOM = counter()


def log(records=6, *, key=KEY, hours=1):
    """Lines of a log with `records` in each hour."""
    chain, lines = Chain(key, RANDOM), []
    for hour in range(hours):
        if hour:
            assert chain.ends == hour * 3600.0
            chain.turn()
        lines.append(chain.opening(hour * 3600.0, "t", begins=hour == 0))
        lines += [chain.seal([json.dumps({"type": "request", "n": n}).encode()]) for n in range(records)]
    return lines, chain


def check(lines, keyed=True, head=None):
    return verify([("log", lines)], keys=[KEY] if keyed else [], head=head)


def test_an_untouched_log_is_intact():
    """A log as written passes with and without the key, and its head is the chain's."""
    lines, chain = log(hours=3)
    for keyed in (True, False):
        verdict = check(lines, keyed)
        assert verdict.intact
        assert verdict.keyed is keyed
        assert verdict.lines == len(lines)
        assert verdict.head == chain.head == head_of(lines[-1].rstrip(b"\n"))


def test_every_line_is_one_json_object_with_its_place():
    """Each line is a JSON object that ends in its number, the hash before, and its MAC."""
    lines, _ = log()
    for number, line in enumerate(lines, 1):
        record = json.loads(line)
        assert record["seq"] == number
        assert list(record)[-3:] == ["seq", "prev", "mac"]
    assert json.loads(lines[0])["prev"] == NO_HASH


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_edit_is_found_with_the_key(data):
    """109: with the key, the first line that was edited anywhere is named, the last one and its MAC included."""
    lines, _ = log(hours=2)
    where = data.draw(st.integers(0, len(lines) - 1))
    line = bytearray(lines[where])
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= data.draw(st.integers(1, 255))
    if line[at] == 0x0A:
        line[at] = 0x20 if lines[where][at] != 0x20 else 0x21
    lines[where] = bytes(line)
    problem = check(lines).problem
    assert problem is not None
    assert problem.line == where + 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_edit_is_found_without_the_key(data):
    """109: the plain hash chain names an edited line too, but for the last, which no hash covers yet."""
    lines, _ = log(hours=2)
    where = data.draw(st.integers(0, len(lines) - 2))
    line = bytearray(lines[where])
    at = data.draw(st.integers(0, len(line) - 2))
    line[at] ^= 1
    lines[where] = bytes(line)
    problem = check(lines, keyed=False).problem
    assert problem is not None
    assert problem.line == where + 1


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_dropped_lines_are_found(data, keyed):
    """109: where lines were dropped, the line after the gap is named; at the end, the known head tells."""
    lines, chain = log(hours=2)
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    del lines[start:end]
    verdict = check(lines, keyed, head=chain.head)
    assert verdict.problem is not None
    assert verdict.problem.line == min(start + 1, len(lines))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_reordered_lines_are_found(data, keyed):
    """109: two lines that changed places are found at the first of the two."""
    lines, _ = log(hours=2)
    one = data.draw(st.integers(0, len(lines) - 2))
    two = data.draw(st.integers(one + 1, len(lines) - 1))
    lines[one], lines[two] = lines[two], lines[one]
    problem = check(lines, keyed).problem
    assert problem is not None
    assert problem.line == one + 1


@pytest.mark.parametrize("keyed", [True, False])
def test_repeated_lines_are_found(keyed):
    """109: a line that appears twice is found the second time, also where it opens a segment."""
    lines, _ = log(hours=2)
    for where in range(len(lines)):
        twice = [*lines[: where + 1], lines[where], *lines[where + 1 :]]
        problem = check(twice, keyed).problem
        assert problem is not None
        assert problem.line == where + 2


def test_a_line_cut_short_is_found():
    """109: a last line without its end is named."""
    lines, _ = log()
    lines[-1] = lines[-1][:-20]
    problem = check(lines).problem
    assert problem is not None
    assert problem.line == len(lines)
    assert "no end" in problem.what


def test_lines_missing_at_the_end_show_against_a_known_head():
    """Lines missing at the end do not show in the log alone; they do against the head, and so does another log."""
    lines, chain = log()
    assert check(lines[:-2]).intact
    problem = check(lines[:-2], head=chain.head).problem
    assert problem is not None
    assert "its end was cut off" in problem.what
    assert check(lines, head=Head(3, head_of(lines[2].rstrip()).hash)).intact
    problem = check(lines, head=Head(3, NO_HASH)).problem
    assert problem is not None
    assert problem.line == 3
    assert check(lines, head=Head()).intact


def test_an_empty_log_is_intact_unless_records_are_known():
    """An empty log is fine, until a head says otherwise."""
    assert check([]).intact
    assert not check([], head=Head(1, NO_HASH)).intact


def test_a_rewritten_log_passes_without_the_key_and_fails_with_it():
    """Anyone can compute the hash chain anew; only the MACs tell, and so the verdict says whether they were checked."""
    forged, _ = log(key=b"thief" * 7)
    assert check(forged, keyed=False).intact
    problem = check(forged).problem
    assert problem is not None
    assert "another verification key" in problem.what


def test_another_devices_key_is_told_from_a_broken_chain():
    """With several keys each segment is checked under its own."""
    one, _ = log()
    two, _ = log(key=b"w" * 32)
    assert verify([("1", one), ("2", two)], keys=[KEY, b"w" * 32]).intact


def test_a_segment_key_does_not_reach_back():
    """The key in memory is not the one before: it cannot make the MACs of earlier segments."""
    _, chain = log(hours=1)
    first = bytes(chain._key)
    chain.turn()
    later = bytes(chain._key)
    assert later == audit_chain.next_key(first)
    chain.turn()
    state = b"".join(bytes(value) for value in vars(chain).values() if isinstance(value, bytes | bytearray))
    assert first not in state
    assert later not in state
    chain.forget()
    assert bytes(chain._key) == bytes(32)


def test_keys_follow_the_standard():
    """Our one-block HKDF-Expand gives what `cryptography` gives."""
    for info in (b"", b"info", b"x" * 100):
        assert audit_chain.expand(KEY, info) == HKDFExpand(SHA256(), 32, info).derive(KEY)


def test_a_segment_lasts_an_hour():
    """A chain is due for the next segment after an hour, not before, and not before it began."""
    chain = Chain(KEY, RANDOM)
    assert chain.ends == math.inf
    chain.opening(1000.0, "t", begins=True)
    assert chain.ends == 4600.0


def test_segments_may_be_skipped():
    """A segment whose opening line could not be written leaves a gap in the segments' numbers, not in the chain."""
    chain = Chain(KEY, RANDOM)
    lines = [chain.opening(0, "t", begins=True)]
    for _ in range(3):
        chain.turn()
    lines += [chain.opening(1, "t", begins=False), chain.seal([b'{"type":"request"}'])]
    assert check(lines).intact


def reseal(record, chain):
    return chain.seal([json.dumps(record).encode()])


@pytest.mark.parametrize(
    "segment",
    [
        None,
        {"run": "r"},
        *(
            {"run": "ab", "number": 1, "key": "cd", "begins": True} | wrong
            for wrong in (
                {"number": "x"},
                {"number": -1},
                {"number": 10**9},
                {"run": "\x1b[2J"},
                {"run": "ab\n"},
                {"key": "\x1b[2J"},
                {"repaired": "\x1b[2J"},
                {"lost": "everything"},
                {"lost": {"seq": "\x1b[2J", "hash": ""}},
            )
        ),
    ],
)
def test_a_malformed_segment_line_is_found(segment):
    """A segment line that makes no sense is named, not an error of the checker, costs it no time, and is not shown."""
    chain = Chain(KEY, RANDOM)
    lines = [chain.opening(0, "t", begins=True), reseal({"type": "segment", "segment": segment}, chain)]
    for keyed in (True, False):
        verdict = check(lines, keyed=keyed)
        assert (verdict.problem.line, verdict.problem.what) == (2, "this segment line is malformed")
        assert not verdict.notes


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[1]\n", b'{"type":"request"}\n', b"\xff\n", b"[" * 3000 + b"\n"]
)
def test_what_is_no_record_is_found(line):
    """A foreign line is named, wherever it stands."""
    lines, _ = log()
    assert check([line, *lines]).problem.line == 1
    assert check([*lines, line]).problem.line == len(lines) + 1


def test_a_segment_opened_twice_is_found():
    """A segment number that does not grow is named: its key would have served twice."""
    chain = Chain(KEY, RANDOM)
    lines = [chain.opening(0, "t", begins=True), chain.opening(1, "t", begins=False)]
    for keyed in (True, False):
        assert "opened before" in check(lines, keyed).problem.what


def test_json_that_only_looks_chained_is_found():
    """A line with the right end and no JSON before it is no record."""
    chain = Chain(KEY, RANDOM)
    lines = [chain.opening(0, "t", begins=True), chain.seal([b"nonsense}"])]
    assert check(lines).problem.what == "this is no record of an audit log"


def test_a_line_before_any_segment_is_found():
    """A record that no segment covers is named when keys are checked."""
    chain = Chain(KEY, RANDOM)
    first = reseal({"type": "segment", "segment": {"begins": True}}, chain)
    assert check([first]).problem.what == "this segment line is malformed"
    lines, _ = log()
    checker = audit_chain._Check([KEY], None)
    assert (
        checker._check_mac({"type": "request"}, lines[1].rstrip(), "0" * 64)
        == "this line belongs to no segment"
    )


def test_files_chain_on():
    """The next file's first line carries on from the last file's head; without the file between, it shows."""
    chain = Chain(KEY, RANDOM)
    one = [chain.opening(0, "t", begins=True), chain.seal([b'{"type":"request"}'])]
    chain.turn()
    two = [chain.opening(1, "t", begins=True), chain.seal([b'{"type":"request"}'])]
    chain.turn()
    three = [chain.opening(2, "t", begins=True)]
    files = [("1", one), ("2", two), ("3", three)]
    verdict = verify(files, keys=[KEY])
    assert verdict.intact
    assert verdict.lines == 5
    assert verify(files[1:], keys=[KEY]).intact
    problem = verify([files[0], files[2]], keys=[KEY]).problem
    assert (problem.file, problem.line) == ("3", 1)
    assert problem.what == "2 records are missing before this line"


def test_a_log_that_begins_anew_is_noted():
    """A file that starts at record 1 after another is no fault, but nothing tells what came between: a note says so."""
    one, _ = log()
    two, _ = log()
    verdict = verify([("1", one), ("2", two)], keys=[KEY])
    assert verdict.intact
    assert "begins anew" in verdict.notes[0] or "a new log begins" in verdict.notes[0]


def test_a_repair_is_noted_and_a_loss_is_a_problem():
    """A torn tail that was cut off is a note; a file that ended earlier than the server remembers is a problem."""
    chain = Chain(KEY, RANDOM)
    lines = [chain.opening(0, "t", begins=True), chain.opening(1, "t", begins=False, repaired=17)]
    chain.turn()
    lines[1:] = [chain.opening(1, "t", begins=False, repaired=17)]
    other = Chain(KEY, RANDOM)
    lines = [other.opening(0, "t", begins=True)]
    other.turn()
    lines.append(other.opening(1, "t", begins=False, repaired=17))
    verdict = check(lines)
    assert verdict.intact
    assert "17 bytes" in verdict.notes[0]
    other.turn()
    lines.append(other.opening(2, "t", begins=False, lost=Head(9, NO_HASH)))
    problem = check(lines).problem
    assert problem.line == 3
    assert "record 9" in problem.what
