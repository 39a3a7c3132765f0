"""sys/policies/password: policies come and go, and make passwords."""

import base64

PATH = "sys/policies/password/db"
TEXT = 'length = 30\nrule "charset" { charset = "abcdefgh" }\n'


def test_a_password_policy_comes_and_goes(server):
    """Written, shown, listed, deleted; in one spelling of its name."""
    assert server.ask("LIST", "sys/policies/password").status == 404
    assert server.ask("POST", "sys/policies/password/DB", {"policy": TEXT}).status == 204
    assert server.ask("GET", PATH).data == {"policy": TEXT}
    assert server.ask("LIST", "sys/policies/password").data == {"keys": ["db"]}
    assert [server.ask("DELETE", PATH).status for _ in range(2)] == [204, 204]
    for path in (PATH, f"{PATH}/generate"):
        answer = server.ask("GET", path)
        assert (answer.status, answer.json["errors"]) == (404, ["policy does not exist"])


def test_each_password_is_another(server):
    """Of the policy's characters; no answer is given twice."""
    server.ask("PUT", PATH, {"policy": TEXT})
    found = {server.ask("GET", f"{PATH}/generate").data["password"] for _ in range(20)}
    assert len(found) == 20
    assert all(len(password) == 30 and set(password) <= set("abcdefgh") for password in found)


def test_a_policy_may_come_in_base64(server):
    """And is shown as text."""
    server.ask("POST", PATH, {"policy": base64.b64encode(TEXT.encode()).decode()})
    assert server.ask("GET", PATH).data == {"policy": TEXT}


def test_a_refused_policy_leaves_the_old_one(server):
    """Nothing, blanks, or what makes no passwords: 400, and the policy that was there stays."""
    server.ask("POST", PATH, {"policy": TEXT})
    for text in ("", "  \n", "length = 3", "/w=="):
        assert server.ask("POST", PATH, {"policy": text}).status == 400
    assert server.ask("POST", PATH, {}).json["errors"] == ["missing policy"]
    assert server.ask("GET", PATH).data == {"policy": TEXT}


def test_who_may_have_passwords_made_need_not_see_the_policy(server, policy, token_of):
    """The paths are apart, so that rules can tell them apart."""
    server.ask("POST", PATH, {"policy": TEXT})
    token = token_of(policies=[policy("maker", {"sys/policies/password/+/generate": ["read"]})])
    assert server.ask("GET", f"{PATH}/generate", token=token).status == 200
    assert server.ask("GET", PATH, token=token).status == 403
