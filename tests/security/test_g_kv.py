"""G. KV and check-and-set, against a real process. Linearisable histories in one process: tests/unit/engines/test_kv_races.py."""

import json
import socket
from collections import Counter

import pytest
from tests.security.serving import head, many, place_of, resident, statuses, talk

from ml_secrets.domain.value import LARGEST


def raw_write(store, path, data):
    return store.ask("POST", f"secret/data/{path}", b'{"data": ' + data + b"}")


def raw_read(store, path):
    """The bytes of `data.data` as they came over the wire."""
    body = store.ask("GET", f"secret/data/{path}").body
    start = body.index(b'"data":{"data":') + len(b'"data":{"data":')
    return body[start : body.index(b',"metadata":{', start)]


def test_73_of_sixty_creators_one_wins(store):
    """Check 73: sixty clients with cas=0 at once: one 200, the others 400, one version."""
    answers = many(
        60, lambda n: store.ask("POST", "secret/data/cas", {"data": {"n": n}, "options": {"cas": 0}})
    )
    assert Counter(answer.status for answer in answers) == {200: 1, 400: 59}
    assert store.ask("GET", "secret/metadata/cas").data["current_version"] == 1


def test_74_counting_by_check_and_set_loses_nothing(store):
    """Check 74, small: eight clients count one number up with cas, each its successes: the sum is the number."""
    store.ask("POST", "secret/data/count", {"data": {"n": 0}})
    store.ask("POST", "secret/metadata/count", {"max_versions": 1000})

    def count(_):
        won = 0
        for _ in range(15):
            now = store.ask("GET", "secret/data/count").data
            body = {"data": {"n": now["data"]["n"] + 1}, "options": {"cas": now["metadata"]["version"]}}
            won += store.ask("POST", "secret/data/count", body).status == 200
        return won

    won = sum(many(8, count))
    end = store.ask("GET", "secret/data/count").data
    assert end["data"]["n"] == won == end["metadata"]["version"] - 1


FAITHFUL = [
    b'{"n":9007199254740993}',
    b'{"n":123456789012345678901234567890}',
    b'{"n":1.0,"m":1e5,"o":-0.0,"p":0.10}',
    b'{"b":1,"a":2,"c":{"z":1,"y":2}}',
    b'{"a":"\\u00e9","b":"\xc3\xa9","c":"\\/","d":"\\ud83d\\ude00"}',
    b'{"a":"<&>","b":"line\\nbreak","c":"\\u0000"}',
    '{"\u00e9":"\u96ea","e\u0301":"two letters"}'.encode(),
    b'{"":"empty name"}',
]


@pytest.mark.parametrize("data", FAITHFUL)
def test_75_what_is_stored_is_what_was_sent(store, data):
    """Check 75: digits, escapes, order and letters come back byte for byte."""
    assert raw_write(store, "faithful", data).status == 200
    assert raw_read(store, "faithful") == data


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":1E400}',
        b'{"a":Infinity}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1}{"b":2}',
        b'{"a":1},',
        b'{"a":1}\x00',
        b"{'a':1}",
        b'{"a":"\t"}',
        b'{"a":1,}',
        b"[]",
        b'"a"',
        b"7",
        b"true",
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\x80"}',
        b'{"a":tru}',
        b"//x\n{}",
    ],
)
def test_75_what_cannot_be_kept_is_refused(store, data):
    """Check 75: no silent replacement: 400, and nothing new is stored."""
    raw_write(store, "kept", b'{"v":"before"}')
    assert raw_write(store, "kept", data).status == 400
    assert raw_read(store, "kept") == b'{"v":"before"}'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp037"])
def test_75_other_encodings_are_refused(store, encoding):
    """Check 75: bodies are UTF-8 without a mark."""
    body = '{"data": {"v": "1"}}'.encode(encoding)
    if encoding == "utf-7":
        body = b'{"data": +AHsAIgB2ACIAOgAxAH0-}'
    assert store.ask("POST", "secret/data/encoded", body).status == 400
    assert store.ask("GET", "secret/data/encoded").status == 404


@pytest.mark.parametrize(
    "cas",
    [
        '"0x1"',
        "1.5",
        "-1",
        "true",
        "18446744073709551616",
        "1e0",
        '"1_0"',
        '"\uff11"',
        "[1]",
        "{}",
        '""',
        '" 1"',
    ],
)
def test_77_cas_is_a_number_or_refused(store, cas):
    """Check 77: 400 for every spelling that another parser could take for a number. ("0" is what command lines send.)"""
    store.ask("POST", "secret/data/cas-kinds", {"data": {"v": "1"}})
    body = f'{{"data": {{"v": "2"}}, "options": {{"cas": {cas}}}}}'.encode()
    assert store.ask("POST", "secret/data/cas-kinds", body).status == 400
    assert store.ask("GET", "secret/data/cas-kinds").data["data"] == {"v": "1"}


@pytest.mark.parametrize("more", [0, 1])
def test_80_the_size_limit_is_exact(store, more):
    """Check 80: a value at the limit is stored and comes back; one byte more is refused."""
    data = b'{"v":"' + b"x" * (LARGEST - len(b'{"v":""}') + more) + b'"}'
    answer = raw_write(store, f"size-{more}", data)
    assert answer.status == (413 if more else 200) or (more and answer.status == 400)
    if not more:
        assert raw_read(store, "size-0") == data


def list_in_pages(store, count):
    many(
        8,
        lambda t: [
            store.ask("POST", f"secret/data/many/{n:06d}", {"data": {"v": n}}) for n in range(t, count, 8)
        ],
    )
    before, found, after = resident(store.process.pid), [], ""
    while True:
        answer = store.ask("GET", f"secret/metadata/many?list=true&limit=500&after={after}")
        if answer.status == 404:
            break
        keys = answer.data["keys"]
        assert len(keys) <= 500
        found += keys
        after = keys[-1]
    assert found == [f"{n:06d}" for n in range(count)]
    assert resident(store.process.pid) - before < 64 * 1024 * 1024


def test_80_many_names_come_in_pages(store):
    """Check 80, small: 2,000 names, each once and in order, without memory growing with them."""
    list_in_pages(store, 2_000)


@pytest.mark.long
def test_80_a_hundred_thousand_names_come_in_pages(store):
    """Check 80: 100,000 names."""
    list_in_pages(store, 100_000)


def test_81_a_client_that_leaves_gets_all_or_nothing(store):
    """Check 81: connections cut right after the request was sent: each write is there whole, or not at all, once at most."""
    body = json.dumps({"data": {f"k{n}": "v" * 100 for n in range(50)}}).encode()

    def leave(number):
        with socket.create_connection(place_of(store.url), 10) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            line.sendall(
                head(
                    "POST",
                    f"/v1/secret/data/left/{number}",
                    f"Content-Length: {len(body)}",
                    token=store.token,
                )
                + body
            )

    many(40, leave)
    for number in range(40):
        found = store.ask("GET", f"secret/data/left/{number}")
        if found.status == 200:
            assert len(found.data["data"]) == 50
            assert found.data["metadata"]["version"] == 1
        else:
            assert found.status == 404


def test_81_a_pipelined_second_request_is_its_own(store):
    """Two requests in one packet get two answers in their order, and the second does not change the first."""
    first = (
        head(
            "POST", "/v1/secret/data/piped", "Content-Length: 22", "Connection: keep-alive", token=store.token
        )
        + b'{"data": {"v": "one"}}'
    )
    second = head("GET", "/v1/secret/data/piped", token=store.token)
    received = talk(store.url, first + second)
    assert statuses(received) == [200, 200]
    assert b'"v":"one"' in received.replace(b'" "', b'"').replace(b": ", b":")
