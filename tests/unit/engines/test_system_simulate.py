"""sys/policies/simulate: it decides as the server decides, and shows nobody more of a policy than they may read."""

import pytest

SIMULATE, SELF = "sys/policies/simulate", "sys/policies/simulate-self"
SECRET = "hunter2-not-a-secret"  # obviously fake


def ask(server, *requests, path=SIMULATE, token=None, **fields):
    """The rows of the answer. A request is (operation, path[, parameters])."""
    rows = [
        {"operation": operation, "path": at, **({"parameters": more[0]} if more else {})}
        for operation, at, *more in requests
    ]
    who = {} if token is None else {"token": token}
    answer = server.ask("POST", path, {"requests": rows, **fields}, **who)
    assert answer.status == 200, answer
    return answer.data["results"]


def test_a_batch_is_told_row_by_row(server, policy):
    """Each request has its verdict, the rule and policies that decided, what is missing, and words."""
    policy("team", {"secret/data/team/*": ["read"], "secret/data/team/root": ["deny"]})
    granted, lacking, denied, none = ask(
        server,
        ("read", "secret/data/team/db"),
        ("update", "secret/data/team/db"),
        ("read", "/secret/data/team/root/"),
        ("list", "secret/metadata/team"),
        policies=["TEAM"],
    )
    assert granted == {
        "operation": "read",
        "path": "secret/data/team/db",
        "allowed": True,
        "reason": "granted",
        "rule": "secret/data/team/*",
        "policies": ["team"],
        "missing": [],
        "explanation": 'the rule "secret/data/team/*" of policy "team" gives read',
        "served": True,
    }
    assert (lacking["allowed"], lacking["reason"], lacking["missing"]) == (False, "lacking", ["update"])
    assert (denied["rule"], denied["reason"]) == ("secret/data/team/root", "denied")
    assert (none["rule"], none["reason"], none["missing"]) == (None, "no rule", ["list"])
    assert "no rule of these policies" in none["explanation"]


def test_parameters_and_wrapping_are_looked_at(server):
    """A rule's bounds hold as for a real request; what was sent is not said again."""
    text = """
    path "secret/data/x" { capabilities = ["update"] denied_parameters = { password = [] } }
    path "secret/data/w" { capabilities = ["read"] min_wrapping_ttl = "1m" }
    """
    free, bound = ask(
        server,
        ("update", "secret/data/x", {"note": "n"}),
        ("update", "secret/data/x", {"password": SECRET}),
        proposed={"p": text},
    )
    assert (free["allowed"], bound["allowed"], bound["reason"]) == (True, False, "parameter")
    assert 'the parameter "password"' in bound["explanation"]
    assert SECRET not in str(bound)
    rows = [{"path": "secret/data/w", "wrap_ttl": ttl} for ttl in (None, 30, "2m")]
    answer = server.ask("POST", SIMULATE, {"requests": rows, "proposed": {"p": text}})
    assert [row["reason"] for row in answer.data["results"]] == ["wrapping", "wrapping", "granted"]


def test_it_agrees_with_the_server(server, policy, token_of):
    """What is said to be allowed is not answered with 403, and what is said to be refused is."""
    policy(
        "mixed",
        {
            "secret/data/a/*": ["read", "create"],
            "secret/data/a/no": ["deny"],
            "sys/config/state/sanitized": ["read"],
            "auth/userpass/users/ada": ["read"],
        },
    )
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    token = token_of(policies=["mixed"])
    for method, operation, path in (
        ("GET", "read", "secret/data/a/x"),
        ("GET", "read", "secret/data/a/no"),
        ("POST", "create", "secret/data/a/new"),
        ("GET", "read", "sys/config/state/sanitized"),
        ("GET", "read", "auth/userpass/users/ADA"),
        ("GET", "read", "sys/health"),
        ("DELETE", "delete", "secret/data/a/x"),
    ):
        (row,) = ask(server, (operation, path), path=SELF, token=token)
        body = {"data": {}} if method == "POST" else None
        assert row["allowed"] == (server.ask(method, path, body, token=token).status != 403), path


def test_sudo_is_missing_where_the_operation_wants_it(server, policy):
    """A right without `sudo` is not enough there, and both are named where both lack."""
    policy("half", {"sys/config/state/sanitized": ["read"]})
    policy("none", {"sys/config/state/sanitized": ["list"]})
    (half,) = ask(server, ("read", "sys/config/state/sanitized"), policies=["half"])
    assert (half["allowed"], half["reason"], half["missing"]) == (False, "sudo", ["sudo"])
    (none,) = ask(server, ("read", "sys/config/state/sanitized"), policies=["none"])
    assert none["missing"] == ["read", "sudo"]


def test_what_needs_no_token_is_allowed_to_all(server):
    """No policy is asked for it."""
    (row,) = ask(server, ("read", "sys/health"), proposed={"p": 'path "*" { capabilities = ["deny"] }'})
    assert (row["allowed"], row["reason"], row["rule"]) == (True, "public", None)


def test_a_proposed_text_stands_in_for_the_stored_one(server, policy, token_of):
    """What would a token be allowed if one of its policies said this? The others stay, and nothing is written."""
    policy("one", {"secret/data/a": ["read"]})
    policy("two", {"secret/data/b": ["read"]})
    token = token_of(policies=["one", "two"])
    accessor = server.ask("POST", "auth/token/lookup", {"token": token}).data["accessor"]
    both = ("read", "secret/data/a"), ("read", "secret/data/b")
    assert [row["allowed"] for row in ask(server, *both, accessor=accessor)] == [True, True]
    proposed = {"One": 'path "secret/data/c" { capabilities = ["read"] }'}
    rows = ask(server, *both, accessor=accessor, proposed=proposed)
    assert [row["allowed"] for row in rows] == [False, True]
    assert ask(server, both[0], accessor=accessor)[0]["allowed"] is True
    assert [row["allowed"] for row in ask(server, *both, proposed=proposed)] == [False, False]


def test_without_a_choice_they_are_the_callers_own(server, policy, token_of):
    """The same as simulate-self."""
    token = token_of(policies=[policy("p", {SIMULATE: ["update"], "secret/data/a": ["read"]})])
    assert ask(server, ("read", "secret/data/a"), token=token)[0]["rule"] == "secret/data/a"
    assert ask(server, ("read", "secret/data/a"))[0]["reason"] == "root"


def test_everybody_may_ask_about_themselves(server, policy, token_of):
    """The default policy lets a token ask which of its own rules decides; not more."""
    token = token_of(policies=[policy("p", {"secret/data/a": ["read"]})])
    (row,) = ask(server, ("update", "secret/data/a"), path=SELF, token=token)
    assert (row["rule"], row["policies"], row["missing"]) == ("secret/data/a", ["p"], ["update"])
    asked = {"requests": [{"path": "secret/data/a"}], "policies": ["p"]}
    assert server.ask("POST", SIMULATE, asked, token=token).status == 403


def test_a_rule_is_shown_only_to_who_may_read_its_policies(server, policy, token_of):
    """Of another's policy one learns yes or no and what lacks; a rule united of several is shown to who may read all of them."""
    policy("theirs", {"secret/data/quiet-project/*": ["read"], "secret/data/both": ["read"]})
    policy("mine", {SIMULATE: ["update"], "secret/data/both": ["read"]})
    token = token_of(policies=["mine"], no_default_policy=True)
    wanted = ("read", "secret/data/quiet-project/x"), ("update", "secret/data/quiet-project/x")
    rows = ask(server, *wanted, ("read", "secret/data/both"), policies=["theirs", "mine"], token=token)
    assert [row["allowed"] for row in rows] == [True, False, True]
    assert [row["missing"] for row in rows] == [[], ["update"], []]
    for row in rows:
        assert (row["rule"], row["policies"]) == (None, [])
        assert row["explanation"] == "a rule that you may not see decides"
    policy("mine", {SIMULATE: ["update"], "sys/policies/acl/theirs": ["read"]})
    assert ask(server, wanted[0], policies=["theirs"], token=token)[0]["policies"] == ["theirs"]
    own = ask(server, wanted[0], proposed={"new": 'path "*" { capabilities = ["read"] }'}, token=token)
    assert own[0]["rule"] == "*"


def test_whether_anything_answers_is_told_of_mounts_that_one_may_see(server, policy, token_of):
    """A proposal that allows everything is no way to find out what is mounted."""
    server.ask("POST", "sys/mounts/quiet", {"type": "kv-v2"})
    token = token_of(policies=[policy("mine", {SIMULATE: ["update"], "secret/data/*": ["read"]})])
    everything = {"new": 'path "*" { capabilities = ["read", "list"] }'}
    asked = [
        ("read", path) for path in ("secret/data/x", "secret/nothing/x", "quiet/data/x", "nowhere/data/x")
    ]
    rows = ask(server, *asked, proposed=everything, token=token)
    assert [row["served"] for row in rows] == [True, False, None, None]
    rows = ask(server, *asked, proposed=everything)
    assert [row["served"] for row in rows] == [True, False, True, False]


def test_a_policy_that_is_not_there_allows_nothing_and_is_named(server):
    """As a token that names it; `root` allows everything."""
    body = {"requests": [{"path": "secret/data/x"}], "policies": ["nobody"]}
    answer = server.ask("POST", SIMULATE, body)
    assert answer.data["allowed"] is False
    assert answer.json["warnings"] == ['Policy "nobody" does not exist']
    assert ask(server, ("read", "x"), policies=["root"])[0]["reason"] == "root"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "requests"),
        ({"requests": []}, "1 to 1000"),
        ({"requests": [{"path": "x"}] * 1001}, "1 to 1000"),
        ({"requests": [{"operation": "read"}]}, "list of requests"),
        ({"requests": [{"path": "x", "verb": "read"}]}, "list of requests"),
        ({"requests": {"path": "x"}}, "list of requests"),
        ({"requests": [{"path": "x", "operation": "write"}]}, "unknown operation"),
        ({"requests": [{"path": "x", "operation": "deny"}]}, "unknown operation"),
        ({"requests": [{"path": "a/../b"}]}, "relative paths"),
        ({"requests": [{"path": "x", "wrap_ttl": "soon"}]}, "duration"),
        ({"requests": [{"path": "x"}], "policies": ["a"], "accessor": "b"}, "exclude each other"),
        ({"requests": [{"path": "x"}], "proposed": {"root": "x"}}, "root"),
        ({"requests": [{"path": "x"}], "proposed": {"p": "nonsense"}}, "failed to parse"),
        ({"requests": [{"path": "x"}], "policies": [f"p{n}" for n in range(1001)]}, "1000 policies"),
        ({"requests": [{"path": "x"}], "accessor": "nobody"}, "invalid accessor"),
    ],
)
def test_what_cannot_be_asked_is_refused(server, body, said):
    """With a 400 that says what is wrong."""
    answer = server.ask("POST", SIMULATE, body)
    assert (answer.status, said in answer.errors[0]) == (400, True), answer.errors
