"""Response wrapping: registry/wrapping.py under pipeline/wrap.py and engines/system/wrapping.py."""

from concurrent.futures import ThreadPoolExecutor

import pytest

GONE = "wrapping token is not valid or does not exist"


def wrapped(server, body=None, **more):
    answer = server.ask("POST", "sys/wrapping/wrap", {"a": 1} if body is None else body, wrap="60", **more)
    assert answer.status == 200, answer.body
    return answer.json["wrap_info"]


def unwrap(server, wrapping, **more):
    return server.ask("POST", "sys/wrapping/unwrap", {"token": wrapping}, **more)


def test_a_wrapped_answer_shows_nothing_but_its_wrapping(server):
    """No request id; the fields of the contract; what is inside comes out as it went in."""
    answer = server.ask("POST", "sys/wrapping/wrap", b'{"a":1,"b":{"c":9007199254740993}}', wrap="2m")
    info = answer.json.pop("wrap_info")
    assert (answer.json["request_id"], answer.json["data"], answer.json["auth"]) == ("", None, None)
    token, accessor = info.pop("token"), info.pop("accessor")
    assert info == {"ttl": 120, "creation_time": "2023-11-14T22:13:20Z", "creation_path": "sys/wrapping/wrap"}
    assert server.ask("POST", "auth/token/lookup-accessor", {"accessor": accessor}).data["num_uses"] == 1
    assert b'"data":{"a":1,"b":{"c":9007199254740993}}' in unwrap(server, token).body


@pytest.mark.parametrize("way", ["body", "body and header", "header", "body alone"])
def test_unwrapping_works_once_in_each_way(server, way):
    """By the body beside a token, by the wrapping token in both places, in the header, in the body alone."""
    token = wrapped(server)["token"]

    def go():
        header = {"body": "root-token-for-tests", "body alone": None}.get(way, token)
        return server.ask(
            "POST", "sys/wrapping/unwrap", {} if way == "header" else {"token": token}, token=header
        )

    assert go().data == {"a": 1}
    second = go()
    assert (second.status, second.errors) == (
        (403, ["permission denied"]) if way == "body and header" else (400, [GONE])
    )
    assert len(server.rows("open/token/id/")) == 1
    assert server.rows("open/wrap/") == []


def test_unwrapping_without_any_token_says_what_is_missing(server):
    """403, as OpenBao does."""
    assert server.ask("POST", "sys/wrapping/unwrap", {}, token=None).status == 403
    assert server.ask("POST", "sys/wrapping/lookup", {}, token=None).status == 403
    assert unwrap(server, "nope", token=None).errors == [GONE]
    assert server.ask("POST", "sys/wrapping/unwrap", {}).errors == [GONE]


def test_of_128_parallel_unwraps_one_gets_the_content(server):
    """Matrix 41: by body and by header, mixed."""
    token = wrapped(server)["token"]

    def go(number):
        if number % 2:
            return unwrap(server, token).status
        return server.ask("POST", "sys/wrapping/unwrap", token=token).status

    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(go, range(128)))
    assert sorted(statuses) == [200] + [400] * 127


def test_unwrapping_and_rewrapping_at_once_loses_nothing_and_doubles_nothing(server):
    """Either the content came out, or the fresh token has it."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(30):
            token = wrapped(server)["token"]
            out = pool.submit(unwrap, server, token)
            again = pool.submit(server.ask, "POST", "sys/wrapping/rewrap", {"token": token})
            answers = (out.result(), again.result())
            assert sorted(answer.status for answer in answers) == [200, 400]
            if answers[1].status == 200:
                assert unwrap(server, answers[1].json["wrap_info"]["token"]).data == {"a": 1}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "secret/data/x"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/renew-self"),
        ("POST", "auth/token/create"),
        ("GET", "cubbyhole/response"),
        ("GET", "sys/mounts"),
        ("POST", "sys/wrapping/rewrap"),
    ],
)
def test_a_wrapping_token_opens_nothing_else(server, method, path):
    """Matrix 43: 403; and it is spent, so a thief who tries it out is noticed."""
    token = wrapped(server)["token"]
    assert server.ask(method, path, token=token).status == 403
    assert unwrap(server, token).errors == [GONE]


def test_looking_at_a_wrapping_costs_nothing(server):
    """Path, time and TTL, with any token or none, by body or header; and then it can still be unwrapped."""
    token = wrapped(server)["token"]
    shown = {
        "creation_path": "sys/wrapping/wrap",
        "creation_time": "2023-11-14T22:13:20Z",
        "creation_ttl": 60,
    }
    for header in ("root-token-for-tests", None, token):
        assert server.ask("POST", "sys/wrapping/lookup", {"token": token}, token=header).data == shown
    assert server.ask("POST", "sys/wrapping/lookup", {}, token=token).data == shown
    assert server.ask("GET", "sys/wrapping/lookup", token=token).data == shown
    assert server.ask("POST", "sys/wrapping/lookup", {"token": "nope"}).errors == [GONE]
    assert unwrap(server, token).data == {"a": 1}


def test_rewrapping_ends_the_old_token(server):
    """Matrix 44: the fresh one lives as long as the first was to."""
    first = server.ask("POST", "auth/token/create", {"policies": ["default"]}, wrap="60").json["wrap_info"]
    server.now += 30
    fresh = server.ask("POST", "sys/wrapping/rewrap", {"token": first["token"]}).json["wrap_info"]
    assert (fresh["ttl"], fresh["creation_path"], fresh["wrapped_accessor"]) == (
        60,
        "auth/token/create",
        first["wrapped_accessor"],
    )
    assert unwrap(server, first["token"]).errors == [GONE]
    server.now += 59
    assert unwrap(server, fresh["token"]).json["auth"]["accessor"] == first["wrapped_accessor"]


@pytest.mark.parametrize("ttl", ["0", "-1", "-1h", "9999999h", "99999d", "bogus", "1e3", "1_0", "\u0661"])
def test_a_wrapping_lives_for_a_sensible_time(server, ttl):
    """Matrix 44: zero, negative, huge and odd ones are 400, and what was to be wrapped has not happened."""
    if not ttl.isascii():
        ttl = ttl.encode().decode("latin-1")
    before = server.rows("open/token/")
    try:
        answer = server.ask("POST", "auth/token/create", {"policies": ["default"]}, wrap=ttl)
    except UnicodeEncodeError:
        pytest.skip("not a header value")
    assert answer.status == 400
    assert server.rows("open/token/") == before


def test_a_wrapping_token_is_of_one_use_and_one_life(server):
    """It ends when it was said to, cannot be renewed, may do nothing but unwrap, and tells where it was made."""
    info = server.ask("POST", "sys/wrapping/wrap", {"a": "b"}, wrap="120").json["wrap_info"]
    token = server.ask("POST", "auth/token/lookup-accessor", {"accessor": info["accessor"]}).data
    assert (token["num_uses"], token["renewable"], token["policies"]) == (1, False, ["response-wrapping"])
    assert (token["ttl"], token["creation_ttl"], token["explicit_max_ttl"]) == (120, 120, 120)
    assert token["path"] == "sys/wrapping/wrap"


def test_the_longest_and_the_shortest_wrapping(server):
    """One second and ten years are inside, a second more is not."""
    ten_years = 10 * 365 * 86_400
    for ttl in (1, ten_years):
        answer = server.ask("POST", "auth/token/create", {"policies": ["default"]}, wrap=str(ttl))
        assert answer.json["wrap_info"]["ttl"] == ttl
    refused = server.ask("POST", "auth/token/create", {"policies": ["default"]}, wrap=str(ten_years + 1))
    assert refused.errors == ["the wrapping TTL must be between one second and ten years"]


def test_a_wrapping_expires(server):
    """At its moment, swept or not; and leaves nothing behind."""
    token = wrapped(server)["token"]
    server.now += 60
    assert unwrap(server, token).errors == [GONE]
    assert server.ask("POST", "sys/wrapping/lookup", {"token": token}).errors == [GONE]
    server.now += 1
    server.sweep()
    assert server.rows("open/wrap/") == []


def test_revoking_by_the_accessor_destroys_the_content(server):
    """Without having seen it."""
    info = wrapped(server)
    assert server.ask("POST", "auth/token/revoke-accessor", {"accessor": info["accessor"]}).status == 204
    assert server.rows("open/wrap/") == []
    assert unwrap(server, info["token"]).errors == [GONE]


def test_a_token_beside_the_wrapping_token_must_be_good_and_allowed(server, policy, token_of):
    """A refusal leaves the content where it is; a limited use is spent by success."""
    token = wrapped(server)["token"]
    assert unwrap(server, token, token="nope").errors == ["permission denied"]
    barred = token_of(policies=[policy("barred", {"sys/wrapping/unwrap": ["deny"]})])
    assert unwrap(server, token, token=barred).status == 403
    once = token_of(policies=["default"], num_uses=1)
    assert unwrap(server, token, token=once).data == {"a": 1}
    assert server.ask("GET", "auth/token/lookup-self", token=once).status == 403


def test_refusals_and_absences_are_not_wrapped(server):
    """They come as they are."""
    before = server.rows("open/wrap/")
    assert server.ask("GET", "secret/data/nothing", wrap="60").status == 404
    assert server.ask("POST", "sys/wrapping/wrap", {"a": 1}).errors == [
        "endpoint requires response wrapping to be used"
    ]
    assert server.rows("open/wrap/") == before


def test_a_wrapped_login_is_a_token_inside(server):
    """And its accessor is told beside it."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    server.ask("POST", "auth/userpass/users/ada", {"password": "fake"})
    info = server.ask("POST", "auth/userpass/login/ada", {"password": "fake"}, token=None, wrap="60").json[
        "wrap_info"
    ]
    auth = server.ask("POST", "sys/wrapping/unwrap", token=info["token"]).json["auth"]
    assert auth["accessor"] == info["wrapped_accessor"]
    assert server.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).status == 200


def test_an_unwrapped_answer_can_be_wrapped_again(server):
    """By asking for it."""
    token = wrapped(server)["token"]
    again = unwrap(server, token, wrap="60").json["wrap_info"]
    assert unwrap(server, token).errors == [GONE]
    assert unwrap(server, again["token"]).data == {"a": 1}
