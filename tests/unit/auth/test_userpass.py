"""auth/userpass: users and logins."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.exceptions import InvalidKey

from ml_secrets.crypto import password as passwords

USER = "auth/userpass/users/ada"
LOGIN = "auth/userpass/login/ada"
WRONG = "invalid username or password"


@pytest.fixture
def users(server):
    """The server, with the method mounted and one user."""
    assert server.ask("POST", "sys/auth/userpass", {"type": "userpass"}).status == 204
    assert server.ask("POST", USER, {"password": "fake-pw-1"}).status == 204
    return server


def login(server, password="fake-pw-1", name="ada", **more):
    return server.ask("POST", f"auth/userpass/login/{name}", {"password": password}, token=None, **more)


def test_a_user_comes_and_goes(users, token_defaults):
    """Made, shown without the password, listed, changed field by field, deleted."""
    assert users.ask("GET", USER).data == token_defaults
    assert (
        users.ask(
            "POST",
            USER,
            {"token_policies": "b,a", "token_ttl": "1h", "max_ttl": "2h", "bound_cidrs": "127.0.0.1/32"},
        ).status
        == 204
    )
    changed = {
        "token_policies": ["b", "a"],
        "token_ttl": 3600,
        "token_max_ttl": 7200,
        "token_bound_cidrs": ["127.0.0.1"],
    }
    assert users.ask("GET", USER).data == token_defaults | changed | {
        "max_ttl": 7200,
        "bound_cidrs": ["127.0.0.1"],
    }
    assert users.ask("LIST", "auth/userpass/users").data == {"keys": ["ada"]}
    assert users.ask("DELETE", USER).status == 204
    assert users.ask("GET", USER).status == 404
    assert users.ask("LIST", "auth/userpass/users").status == 404
    assert login(users).errors == [WRONG]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"token_ttl": "3h", "token_max_ttl": "1h"}, "'token_ttl' cannot be greater than 'token_max_ttl'"),
        ({"token_type": "weird"}, "invalid 'token_type' value"),
        ({"token_type": "batch", "token_num_uses": 3}, "limited use count"),
        ({"token_type": "batch", "token_period": 3}, "periodic tokens"),
        ({"token_bound_cidrs": "bogus"}, "not an IP address or CIDR"),
        ({"token_num_uses": -1}, "cannot be negative"),
        ({"password": "a", "password_hash": "b"}, "only one of password or password_hash"),
        (
            {"password_hash": "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
            "not an Argon2id hash",
        ),
    ],
)
def test_a_user_that_makes_no_sense_is_refused(users, fields, text, token_defaults):
    """With 400; nothing changes."""
    answer = users.ask("POST", USER, fields)
    assert (answer.status, text in answer.errors[0]) == (400, True)
    assert users.ask("GET", USER).data == token_defaults
    assert login(users).status == 200


def test_a_new_user_needs_a_password(server):
    """An empty one is none."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    for fields in ({}, {"password": ""}, {"token_policies": "a"}):
        assert server.ask("POST", USER, fields).errors == ["must provide either password or password_hash"]


def test_a_login_gives_the_token_that_the_user_is_to_have(users):
    """Policies, lifetime, name, metadata; an orphan."""
    users.ask("POST", USER, {"token_policies": "x", "token_ttl": "1h", "token_max_ttl": "2h"})
    auth = login(users).json["auth"]
    assert (
        auth["policies"],
        auth["metadata"],
        auth["lease_duration"],
        auth["renewable"],
        auth["orphan"],
    ) == (["default", "x"], {"username": "ada"}, 3600, True, True)
    shown = users.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).data
    assert (shown["display_name"], shown["path"]) == ("userpass-ada", LOGIN)
    users.now += 3000
    assert (
        users.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=auth["client_token"]).json[
            "auth"
        ]["lease_duration"]
        == 4200
    )


def test_a_missing_password_is_the_callers_mistake(users):
    """400, where OpenBao says 500."""
    for body in ({}, {"password": ""}, {"password": None}):
        answer = users.ask("POST", LOGIN, body, token=None)
        assert (answer.status, answer.errors) == (400, ["missing password"])


def test_passwords_and_policies_have_paths_of_their_own(users):
    """And neither makes a user."""
    assert users.ask("POST", f"{USER}/password", {"password": "fake-pw-2"}).status == 204
    assert login(users).errors == [WRONG]
    assert login(users, "fake-pw-2").status == 200
    assert users.ask("POST", f"{USER}/policies", {"policies": "q,r"}).status == 204
    assert login(users, "fake-pw-2").json["auth"]["policies"] == ["default", "q", "r"]
    assert users.ask("POST", f"{USER}/password", {}).status == 400
    for path, body in (("password", {"password": "fake"}), ("policies", {"policies": "q"})):
        assert users.ask("POST", f"auth/userpass/users/nobody/{path}", body).status == 404
    assert users.ask("GET", "auth/userpass/users/nobody").status == 404


def test_a_hash_can_be_taken_over(users):
    """As this server makes it."""
    with passwords.TURN.turn():
        hashed = passwords.hash_password("fälschung".encode(), bytes)
    assert users.ask("POST", USER, {"password_hash": hashed}).status == 204
    assert login(users, "fälschung").status == 200


def test_the_store_has_neither_names_nor_passwords_in_the_clear(users):
    """Names of users are people's: their rows are named by HMACs, and the hash is sealed."""
    assert users.ask("POST", "auth/userpass/users/zelda", {"password": "fake-pw-9"}).status == 204
    with users.server.storage.begin(write=False) as tx:
        waiting, rows = [""], {}
        while waiting:
            folder = waiting.pop()
            for name in tx.list(folder):
                if name.endswith("/"):
                    waiting.append(folder + name)
                else:
                    rows[folder + name] = tx.get(folder + name)
    assert len(rows) >= 10
    assert not [row for row in rows if "zelda" in row]
    assert not [
        value for value in rows.values() if b"argon2" in value or b"fake-pw" in value or b"zelda" in value
    ]


# ── one spelling ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_spellings_of_a_name_are_one_user(users):
    """Matrix 47: written, read and logged in alike; the path of the token has the one spelling."""
    assert users.ask("POST", "auth/userpass/users/ADA", {"token_policies": "x"}).status == 204
    assert users.ask("LIST", "auth/userpass/users").data == {"keys": ["ada"]}
    auth = login(users, name="AdA").json["auth"]
    assert auth["metadata"] == {"username": "ada"}
    assert users.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).data["path"] == LOGIN


@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("below", ["", "/password", "/policies"])
def test_a_policy_cannot_be_dodged_by_spelling(users, policy, token_of, verb, below):
    """Matrix 6: the verdict for ALICE is the verdict for alice."""
    name = policy(
        "admin",
        {
            "auth/userpass/users/*": ["create", "read", "update", "delete"],
            "auth/userpass/users/ada": ["deny"],
            "auth/userpass/users/ada/*": ["deny"],
        },
    )
    token = token_of(policies=[name])
    for spelling in ("ada", "ADA", "Ada", "%61da", "%41da"):
        answer = users.ask(
            verb,
            f"auth/userpass/users/{spelling}{below}",
            {"password": "taken-over", "policies": "x"} if verb == "POST" else None,
            token=token,
        )
        assert answer.status == 403, spelling
    assert login(users).status == 200


@pytest.mark.parametrize("name", ["a%20b", "%20ada", "ad%C3%A1", "%EF%BD%81da", "-ada", "a%2Cb", "a" * 129])
def test_a_name_that_could_be_taken_for_another_is_refused(users, name):
    """Spaces, look-alikes, and what is too long: 400 for users and for logins."""
    assert users.ask("POST", f"auth/userpass/users/{name}", {"password": "fake"}).status == 400
    assert login(users, name=name).status == 400


# ── nobody learns who exists ────────────────────────────────────────────────────────────────────────────────────────


def test_unknown_names_are_answered_and_locked_like_known_ones(users):
    """Matrix 46: the same statuses and bodies, before and after the lockout, with the right password and any verb."""

    def answers(name):
        tries = [login(users, f"wrong-{n}", name=name) for n in range(7)] + [login(users, name=name)]
        other = [
            users.ask(method, f"auth/userpass/login/{name}", token=None)
            for method in ("GET", "DELETE", "LIST")
        ]
        return [(a.status, a.errors, a.json.get("hint")) for a in tries + other]

    known, unknown = answers("ada"), answers("ghost")
    assert known == unknown
    assert [status for status, _, _ in known] == [400] * 5 + [403] * 3 + [known[8][0]] * 3
    locked = users.ask("GET", "sys/locked-users").data["by_namespace"][0]["mount_accessors"][0][
        "alias_identifiers"
    ]
    assert locked == ["ada", "ghost"]


@pytest.fixture
def hashing(monkeypatch):
    """Each use of Argon2id as it happens: what was done, on what, with which costs and lengths, and how it ended."""
    done, real = [], passwords.Argon2id

    class Watched:
        def __init__(self, **costs):
            done.append(("derive", costs))
            self.derive_phc_encoded = real(**costs).derive_phc_encoded

        @staticmethod
        def verify_phc_encoded(password, hashed):
            _, kind, version, costs, salt, digest = hashed.split("$")
            work = ("verify", password, kind, version, costs, len(salt), len(digest))
            try:
                real.verify_phc_encoded(password, hashed)
            except Exception as error:
                done.append((*work, type(error)))
                raise
            done.append((*work, None))

    monkeypatch.setattr(passwords, "Argon2id", Watched)
    return done


def test_unknown_names_take_as_much_work_as_known_ones(users, hashing):
    """Matrix 46: one whole hash of the same costs and lengths for each try, none once locked out; its time is in tests/security."""

    def work(name, password):
        hashing.clear()
        login(users, password, name=name)
        return list(hashing)

    whole = ("argon2id", "v=19", "m=19456,t=2,p=1", 22, 43)
    for name in ("ada", "ghost"):
        for number in range(5):
            wrong = f"wrong-{number}"
            assert work(name, wrong) == [("verify", wrong.encode(), *whole, InvalidKey)], name
        assert work(name, "fake-pw-1") == [], name
    users.now += 900
    assert work("ada", "fake-pw-1") == [("verify", b"fake-pw-1", *whole, None)]
    assert work("ghost", "fake-pw-1") == [("verify", b"fake-pw-1", *whole, InvalidKey)]


def test_a_lockout_ends_by_itself_by_success_and_by_an_operator(users):
    """After 15 minutes; failures before a success do not count; unlock by the mount's accessor."""
    for _ in range(4):
        assert login(users, "wrong").status == 400
    assert login(users).status == 200
    for _ in range(5):
        assert login(users, "wrong").status == 400
    assert login(users).status == 403
    users.now += 899
    assert login(users).status == 403
    users.now += 1
    assert login(users).status == 200
    for _ in range(5):
        login(users, "wrong")
    accessor = users.ask("GET", "sys/auth").data["userpass/"]["accessor"]
    assert users.ask("POST", f"sys/locked-users/{accessor}/unlock/ada").status == 204
    assert login(users).status == 200


def test_a_burst_gets_no_more_tries_than_the_rule_allows(users, monkeypatch):
    """Sixteen guesses at once: five are looked at, the others are refused unseen."""
    looked, lock = [], threading.Lock()
    verify = passwords.verify_password

    def counted(password, hashed):
        with lock:
            looked.append(password)
        return verify(password, hashed)

    monkeypatch.setattr("ml_secrets.auth.userpass.login.verify_password", counted)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda n: login(users, f"guess-{n}").status, range(16)))
    assert (len(looked), sorted(statuses)) == (5, [400] * 5 + [403] * 11)


def test_many_right_logins_at_once_all_work(users):
    """One account for many jobs is no attack."""
    with ThreadPoolExecutor(12) as pool:
        assert {answer.status for answer in pool.map(lambda _: login(users), range(12))} == {200}


def test_too_many_logins_at_once_are_told_to_come_back(users, monkeypatch):
    """Matrix 53: 429 with Retry-After, and nobody is locked out for it."""
    monkeypatch.setattr("ml_secrets.auth.userpass.login.TURN", passwords.Turns(1, 2))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: login(users), range(20)))
    assert {answer.status for answer in answers} == {200, 429}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status == 429)
    assert login(users).status == 200


# ── other rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failing_login_leaves_no_row(users):
    """Matrix 54."""
    before = users.rows()
    assert login(users, "wrong").status == 400
    assert login(users, name="ghost").status == 400
    users.ask("POST", USER, {"token_bound_cidrs": "10.0.0.0/8"})
    assert login(users).status == 403
    assert users.rows() == before


def test_addresses_bind_the_login_and_the_token(users):
    """A list of them, or the one that logged in."""
    users.ask("POST", USER, {"token_bound_cidrs": "10.0.0.0/8"})
    assert login(users, address="192.0.2.1").errors == ["permission denied"]
    token = login(users, address="10.1.1.1").json["auth"]["client_token"]
    assert users.ask("GET", "auth/token/lookup-self", token=token, address="192.0.2.1").status == 403
    users.ask("POST", USER, {"token_strictly_bind_ip": True})
    token = login(users, address="10.1.1.1").json["auth"]["client_token"]
    assert users.ask("GET", "auth/token/lookup-self", token=token, address="10.1.1.2").status == 403
    assert users.ask("GET", "auth/token/lookup-self", token=token, address="10.1.1.1").data[
        "bound_cidrs"
    ] == ["10.1.1.1"]


def test_a_mount_may_ask_for_batch_tokens(users):
    """Its token type is a must; what cannot be one is refused."""
    users.ask("POST", "sys/auth/userpass/tune", {"token_type": "batch"})
    auth = login(users).json["auth"]
    assert (auth["token_type"], auth["accessor"], auth["renewable"]) == ("batch", "", False)
    users.ask("POST", USER, {"token_num_uses": 3})
    assert login(users).status == 400


def test_a_renewal_asks_whether_the_user_is_still_the_same(users):
    """Gone, or with other policies: the token lives out its time, and is not renewed."""
    token = login(users).json["auth"]["client_token"]
    users.ask("POST", USER, {"token_max_ttl": "1h"})
    assert (
        users.ask("POST", "auth/token/renew-self", {"increment": "9h"}, token=token).json["auth"][
            "lease_duration"
        ]
        == 3600
    )
    users.ask("POST", USER, {"token_policies": "more"})
    assert "policies have changed" in users.ask("POST", "auth/token/renew-self", token=token).errors[0]
    users.ask("DELETE", USER)
    assert "does not exist" in users.ask("POST", "auth/token/renew-self", token=token).errors[0]
    assert users.ask("GET", "auth/token/lookup-self", token=token).status == 200


def test_disabling_the_mount_ends_its_tokens(users):
    """Batch tokens, too; and those of a new mount at the same path are alive."""
    service = login(users).json["auth"]["client_token"]
    users.ask("POST", USER, {"token_type": "batch"})
    batch = login(users).json["auth"]["client_token"]
    assert users.ask("DELETE", "sys/auth/userpass").status == 204
    for token in (service, batch):
        assert users.ask("GET", "auth/token/lookup-self", token=token).status == 403
    users.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    assert login(users).errors == [WRONG]
    users.ask("POST", USER, {"password": "fake-pw-1"})
    assert (
        users.ask("GET", "auth/token/lookup-self", token=login(users).json["auth"]["client_token"]).status
        == 200
    )


def test_a_user_deleted_during_the_login_gets_no_token(users, monkeypatch):
    """What was looked at before the write is looked at again in it."""
    verify = passwords.verify_password

    def slow(password, hashed):
        assert users.ask("DELETE", USER).status == 204
        return verify(password, hashed)

    monkeypatch.setattr("ml_secrets.auth.userpass.login.verify_password", slow)
    assert login(users).errors == [WRONG]
    assert len(users.rows("open/token/id/")) == 1


def test_older_names_lose_against_newer_ones(users, token_defaults):
    """With a warning, and they are not shown again."""
    answer = users.ask("POST", USER, {"token_ttl": "1h", "ttl": "2h", "token_type": ""})
    assert answer.json["warnings"] == [
        "Both 'token_ttl' and deprecated 'ttl' value supplied, ignoring the deprecated value"
    ]
    assert users.ask("GET", USER).data == token_defaults | {"token_ttl": 3600}
