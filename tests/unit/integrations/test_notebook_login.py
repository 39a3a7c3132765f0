"""A notebook's login: what its token may do, on our server and on OpenBao, and when it ends."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from tests.soon import eventually

from ml_secrets import Client
from ml_secrets.domain.policy import BUILT_IN, parse_policy
from ml_secrets.errors import Denied, Refusal, Unauthenticated
from ml_secrets.integrations.notebook_login import LIFE, Login, what_changes

PASSWORD = "example-password-of-ada"
READS = 'path "secret/data/team/*" { capabilities = ["read"] }\n'
SHOWN = 'path "sys/policies/acl/*" { capabilities = ["read"] }\n'
WRITES = 'path "secret/data/team/*" { capabilities = ["create", "read", "update"] }\n'


@pytest.fixture
def ada(dev_server):
    """Who may read and write; gives our server."""
    with Client(dev_server.url, dev_server.token) as root:
        named(root, "ada", WRITES)
    return dev_server


def named(root, name, policy):
    if "userpass/" not in root.read("sys/auth").data:
        root.write("sys/auth/userpass", {"type": "userpass"})
    root.write(f"sys/policies/acl/{name}", {"policy": policy})
    root.write(
        f"auth/userpass/users/{name}", {"password": PASSWORD, "token_policies": name, "token_ttl": "8h"}
    )
    root.kv.put("team/db", {"value": "example-value"})


@pytest.fixture
def client():
    """Clients of a server, as nobody; closed with the test."""
    opened = []

    def make(server):
        opened.append(Client(server.url, cache_ttl=0))
        opened[-1].token = None
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def accessor(client):
    return client.read("auth/token/lookup-self").data["accessor"]


def lives(server, of):
    with Client(server.url, server.token) as root:
        try:
            return root.write("auth/token/lookup-accessor", {"accessor": of}).data
        except Refusal:
            return None


def test_who_may_write_can_only_read(ada, client):
    """The server refuses a change, with this token and with any that could be made of it; and reads are answered."""
    mine = client(ada)
    assert LIFE - 1 <= Login(mine).by_password("ada", PASSWORD) <= LIFE
    assert mine.get_secret("team/db").reveal() == "example-value"
    for path, body in [("secret/data/team/db", {"data": {}}), ("auth/token/create", {})]:
        with pytest.raises(Denied, match="permission denied") as refused:
            mine.write(path, body)
        assert "read-only" in refused.value.hint


def test_nothing_is_kept_that_could_log_in_again(ada, client):
    """Neither the password nor another token: when this one ends, so does the notebook's right."""
    mine = client(ada)
    Login(mine).by_password("ada", PASSWORD)
    assert mine.session.login is None
    with Client(ada.url, ada.token) as root:
        root.write("auth/token/revoke-accessor", {"accessor": accessor(mine)})
    with pytest.raises(Unauthenticated):
        mine.get_secret("team/db")


def test_writing_is_asked_for_by_name(ada, client):
    """It lives no longer for that."""
    mine = client(ada)
    assert 0 < Login(mine).by_password("ada", PASSWORD, writes=True) <= LIFE
    mine.kv.put("team/other", {"value": "x"})


def test_a_token_makes_a_child(ada, client):
    """What was typed in stays as it is; the child of it can only read, and is revoked alone."""
    with Client(ada.url, ada.token) as root:
        parent = root.write("auth/token/create", {"ttl": "1h"}).auth
    mine = client(ada)
    login = Login(mine)
    assert LIFE - 1 <= login.by_token(parent["client_token"]) <= LIFE
    with pytest.raises(Denied):
        mine.write("secret/data/team/db", {"data": {}})
    child = accessor(mine)
    assert child != parent["accessor"]
    login.end()
    assert lives(ada, child) is None
    assert "read_only" not in lives(ada, parent["accessor"])


def test_a_token_that_may_have_no_child_is_used_and_left(ada, client):
    """If it can only read: it is not ours to narrow, to shorten or to revoke."""
    with Client(ada.url, ada.token) as root:
        root.write("sys/policies/acl/reader", {"policy": READS + SHOWN})
        root.write("sys/policies/acl/ada", {"policy": WRITES + SHOWN})
        reader, writer = (
            root.write("auth/token/create", {"policies": [name], "ttl": "1h"}).auth
            for name in ("reader", "ada")
        )
    mine = client(ada)
    login = Login(mine)
    assert login.by_token(reader["client_token"]) > LIFE
    login.end()
    assert lives(ada, reader["accessor"])
    with pytest.raises(Denied, match="may change secret/data/team/"):
        login.by_token(writer["client_token"])
    assert mine.token is None
    assert lives(ada, writer["accessor"])


def test_a_second_login_ends_the_first(ada, client):
    """One notebook has one token; a wrong password leaves none."""
    mine = client(ada)
    login = Login(mine)
    login.by_password("ada", PASSWORD)
    first = accessor(mine)
    login.by_password("ada", PASSWORD)
    second = accessor(mine)
    assert lives(ada, first) is None
    with pytest.raises(Unauthenticated):
        login.by_password("ada", "wrong")
    assert mine.token is None
    assert lives(ada, second) is None


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (READS + SHOWN, ""),
        (READS, "does not show the policy"),
        (WRITES + SHOWN, "may change secret/data/team/\\*, and"),
        (
            READS + SHOWN + 'path "secret/data/+/db" { capabilities = ["update"] }',
            "may change secret/data/\\+/db",
        ),
        (READS + SHOWN + 'path "sys/policies/acl/x" { policy = "write" }', "may change sys/policies/acl/x"),
    ],
)
def test_openbao_lets_in_who_can_only_read(openbao, client, rules, refusal):
    """It knows no read-only tokens, so the policies are read: who may write anywhere, or cannot show them, is refused and revoked."""
    with Client(openbao.url, openbao.token) as root:
        named(root, "bob", rules)
    mine = client(openbao)
    login = Login(mine)
    if not refusal:
        assert 0 < login.by_password("bob", PASSWORD) <= LIFE
        assert mine.get_secret("team/db").reveal() == "example-value"
        login.end()
    else:
        with pytest.raises(Denied, match=refusal):
            login.by_password("bob", PASSWORD)
        assert mine.token is None
        assert 0 < login.by_password("bob", PASSWORD, writes=True) <= LIFE
        login.end()
    with Client(openbao.url, openbao.token) as root:
        keys = root.list("auth/token/accessors").data["keys"]
        made = [root.write("auth/token/lookup-accessor", {"accessor": key}).data for key in keys]
    assert "userpass-bob" not in [told["display_name"] for told in made]


def test_openbaos_root_is_refused(openbao, client):
    """A child of it could change everything."""
    mine = client(openbao)
    with pytest.raises(Denied, match="may change \\*, and"):
        Login(mine).by_token(openbao.token)
    assert mine.token is None


def test_what_a_policy_lets_change_is_read_from_its_text():
    """But for what is the token's own; a deny and a list change nothing, the older `policy` word may."""
    text = (
        WRITES
        + SHOWN
        + BUILT_IN["default"]
        + """
        path "a/*" { capabilities = ["deny", "update"] }
        path "b/{{identity.entity.id}}" { capabilities = ["patch"] }
        path "c" { policy = "write" }
    """
    )
    found = what_changes(parse_policy("p", text))
    assert found == ["secret/data/team/*", "b/{{identity.entity.id}}", "c"]


PROGRAM = """
    import os, sys, time
    from ml_secrets import Client
    from ml_secrets.agent.run import tokens
    from ml_secrets.integrations import notebook_login
    notebook_login.LIFE = int(sys.argv[1])
    client = Client()
    notebook_login.Login(client).by_password("ada", sys.stdin.readline().strip())
    print(client.read("auth/token/lookup-self").data["accessor"], flush=True)
    if sys.argv[2] == "fork" and os.fork() == 0:
        sys.exit()
    sys.stdin.readline()
"""


@pytest.fixture
def kernel(ada, tmp_path):
    """A process that has logged in as `ada`, until a line comes in; gives it and its token's accessor."""
    started = []

    def start(life, mode=""):
        environ = {**os.environ, "ML_SECRETS_ADDR": ada.url, "HOME": str(tmp_path)}
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(life), mode]
        process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        process.stdin.write(PASSWORD + "\n")
        process.stdin.flush()
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_token_ends_with_the_process(ada, kernel):
    """At its end it is revoked; a forked child's end revokes nothing."""
    process, of = kernel(LIFE, "fork")
    eventually(lambda: not children(process.pid))
    assert lives(ada, of)
    process.communicate("\n", timeout=60)
    assert lives(ada, of) is None


def children(pid):
    """Those that still run."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [line for line in found.stdout.split() if not line.startswith("Z")]


def test_it_is_renewed_while_the_process_lives_and_ends_soon_after_a_kill_9(ada, kernel):
    """It outlives its first life by renewals, each of no more than that life; nobody has to revoke it."""
    process, of = kernel(2)
    first = lives(ada, of)
    eventually(lambda: lives(ada, of)["last_renewal_time"] > first["creation_time"] + 2)
    assert lives(ada, of)["ttl"] <= 2
    process.send_signal(signal.SIGKILL)
    eventually(lambda: lives(ada, of) is None)
