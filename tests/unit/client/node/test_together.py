"""Processes that ask together: one login, one renewal and one read of each secret for all, whatever dies meanwhile."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest
from tests.soon import eventually
from tests.unit.client.node.conftest import alive, kill

from ml_secrets import AsyncClient, Denied, MlSecretsError, NotFound, Unreachable
from ml_secrets.client import approle
from ml_secrets.client.node.place import place_for
from ml_secrets.client.node.transport import say_alone
from ml_secrets.client.settings import resolve
from ml_secrets.testing.programs import own_command

RANKS = Path(__file__).with_name("ranks.py")
NAMES = [f"s{number}" for number in range(5)]
VALUES = {f"s{number}": f"v{number}" for number in range(5)}
ONCE = Counter({"sys/internal/ui/mounts/secret": 1} | {f"secret/data/{name}": 1 for name in NAMES})


def run_ranks(server, method, number, how, **more):
    environment = {
        **os.environ,
        "ML_SECRETS_ADDR": server.url,
        "ML_SECRETS_TOKEN": server.token,
        "ML_SECRETS_REVALIDATE": "60",
        **more,
    }
    command = [sys.executable, str(RANKS), method, str(number), ",".join(NAMES), how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["loop", "batch"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_ask_and_the_server_is_asked_once(server, method, how):
    """However processes are started and ask, each secret is read once for all of them."""
    assert run_ranks(server, method, 8, how) == [VALUES] * 8
    assert server.asked() == ONCE


def test_ranks_ask_an_agent_as_one(server, meeting, tmp_path):
    """With an agent on the machine it is the agent that is asked once, and ranks need no token at all."""
    socket_path = meeting / "agent.sock"
    config = tmp_path / "agent.toml"
    config.write_text(f'[[listener]]\nsocket = "{socket_path}"\n')
    surroundings = {**os.environ, "ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": server.token}
    command = [*own_command(), "agent", "run", "--config", str(config)]
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.DEVNULL) as agent:
        assert eventually(socket_path.exists)
        server.asked()
        assert (
            run_ranks(
                server, "fork", 6, "batch", ML_SECRETS_ADDR=f"unix://{socket_path}", ML_SECRETS_TOKEN=""
            )
            == [VALUES] * 6
        )
        asked = server.asked()
        assert {path: asked[path] for path in ONCE if path.startswith("secret/")} == {
            f"secret/data/{name}": 1 for name in NAMES
        }
        agent.terminate()


@pytest.fixture
def role(server):
    """An AppRole whose secret id is good for one login, and whose tokens live a minute."""
    with server.client(share="off") as root:
        root.write("sys/auth/approle", {"type": "approle"})
        root.write("sys/policies/acl/jobs", {"policy": 'path "secret/data/*" { capabilities = ["read"] }'})
        root.write(
            "auth/approle/role/job", {"token_policies": "jobs", "token_ttl": "1m", "secret_id_num_uses": 1}
        )
        role_id = root.read("auth/approle/role/job/role-id").data["role_id"]
        secret_id = root.write("auth/approle/role/job/secret-id").data["secret_id"]
    server.asked()
    return role_id, secret_id


def test_one_login_is_enough_for_all(server, role):
    """A secret id that is good for one login lets all of a job's processes in."""
    assert run_ranks(server, "fork", 6, f"approle:{role[0]}:{role[1]}") == [VALUES] * 6
    assert server.asked() == ONCE + Counter({"auth/approle/login": 1})


def test_tasks_ask_with_the_others(server, node_of):
    """`AsyncClient` goes the same way: several at once cost one read, a killed one is replaced, a write is read at once."""

    async def story():
        async with server.client(kind=AsyncClient) as one, server.client(kind=AsyncClient) as other:
            got = await asyncio.gather(*(client.get_secret("s0") for client in (one, other) * 4))
            assert {secret["value"].reveal() for secret in got} == {"v0"}
            assert server.asked()["secret/data/s0"] == 1
            kill(node_of(server))
            assert (await other.get_secret("s1"))["value"].reveal() == "v1"
            assert (await one.get_secret("s1"))["value"].reveal() == "v1"
            assert server.asked()["secret/data/s1"] == 1
            await one.kv.put("s1", {"value": "new"})
            assert (await one.get_secret("s1"))["value"].reveal() == "new"

    asyncio.run(story())


def test_one_renewal_is_enough_for_all(server, role):
    """When the token that they share is due, the first who notices renews it, and the others hear for how long it is good now."""
    with server.client(share="off") as root:
        secret_id = root.write("auth/approle/role/job/secret-id").data["secret_id"]
    clients = [server.client(login=approle(role[0], secret_id)) for _ in range(4)]
    for client in clients:
        client.get_secret("s0")
    assert len({client.token.reveal() for client in clients}) == 1
    server.asked()
    for number, client in enumerate(clients):
        client.session.renew_at = 0.001
        client.get_secret(f"s{number + 1}")
        assert client.session.renew_at > client.session.clock()
    assert server.asked()["auth/token/renew-self"] == 1
    for client in clients:
        client.close()


def test_a_token_that_was_revoked_is_replaced_once(server, role):
    """When the token that they share is refused, one logs in again for all of them."""
    with server.client(share="off") as root:
        root.write("auth/approle/role/job", {"secret_id_num_uses": 2})
        secret_id = root.write("auth/approle/role/job/secret-id").data["secret_id"]
        clients = [server.client(login=approle(role[0], secret_id), revalidate=0.01) for _ in range(4)]
        for client in clients:
            client.get_secret("s0")
        root.write("auth/token/revoke", {"token": clients[0].token.reveal()})
        server.asked()
        for number, client in enumerate(clients):
            assert client.get_secret(f"s{number + 1}")["value"].reveal() == f"v{number + 1}"
        assert server.asked()["auth/approle/login"] == 1
        for client in clients:
            client.close()


def test_nothing_shows_in_a_traceback(server, role, node_of):
    """An error that came by this way holds neither token nor secret id, not even with all locals shown."""
    with server.client(share="off") as root:
        secret_id = root.write("auth/approle/role/job/secret-id").data["secret_id"]
    with server.client(login=approle(role[0], secret_id)) as client:
        client.get_secret("s0")
        shown = refusal(client, "nothing")
        server.process.kill()
        server.process.wait()
        shown += refusal(client, "s1")
        os.kill(node_of(server), signal.SIGSTOP)
        client.session.settings.timeout = 0.5
        shown += refusal(client, "s2")
        assert "no secret 'nothing'" in shown
        assert "no server answers" in shown
        assert "did not answer in time" in shown
        assert client.token.reveal() not in shown
    assert secret_id not in shown


def refusal(client, name):
    """What a traceback shows of it, with all locals."""
    with pytest.raises(MlSecretsError) as caught:
        client.get_secret(name)
    return "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())


def test_where_it_cannot_be_started_each_asks_for_itself(server, monkeypatch, caplog):
    """Without an interpreter to start, say, the secret comes all the same, and it is said once."""
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    say_alone.cache_clear()
    for _ in range(2):
        with server.client() as client:
            assert client.get_secret("s0")["value"].reveal() == "v0"
    assert [record.message for record in caplog.records].count(
        "no process could be had that asks for all of this job: each asks alone"
    ) == 1


@pytest.fixture
def two(server):
    """Two clients, as two processes would have them: what one was told the other knows by the process beside them only."""
    with server.client(revalidate=0.01) as one, server.client(revalidate=0.01) as other:
        yield one, other


def test_a_killed_one_is_replaced(server, two, node_of):
    """When the process that asks for all is killed, those who ask go on with another, which asks the server once more."""
    one, other = two
    assert one.get_secret("s0")["value"].reveal() == "v0"
    first = node_of(server)
    kill(first)
    assert other.get_secret("s1")["value"].reveal() == "v1"
    assert one.get_secret("s1")["value"].reveal() == "v1"
    second = node_of(server)
    assert second not in (0, first)
    assert server.asked()["secret/data/s0"] == 1


def test_those_who_wait_while_it_is_killed_are_answered(server, node_of):
    """Questions that are under way when it is killed are asked of the next one, by all who wait."""
    clients = [server.client(timeout=60) for _ in range(8)]
    clients[0].get_secret("s1")
    os.kill(server.process.pid, signal.SIGSTOP)
    got = []
    asking = [
        threading.Thread(target=lambda c=client: got.append(c.get_secret("s0")["value"].reveal()))
        for client in clients
    ]
    for one in asking:
        one.start()
    time.sleep(0.3)
    kill(node_of(server))
    os.kill(server.process.pid, signal.SIGCONT)
    for one in asking:
        one.join()
    assert got == ["v0"] * 8
    assert server.asked()["secret/data/s0"] <= 2
    for client in clients:
        client.close()


STARTER = """
import os, sys
from ml_secrets import get_secret
get_secret("s0")
if os.fork() == 0:
    sys.stdin.read()
print("started", flush=True)
sys.stdin.read()
"""


def test_the_process_that_started_it_may_die(server, node_of):
    """It is nobody's child: when the rank that started it is killed, its forked worker still there, others go on, also to start another."""
    environment = {**os.environ, "ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": server.token}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with starter:
        assert starter.stdout.readline() == b"started\n"
        node = node_of(server)
        kill(starter.pid)
        assert alive(node)
        with server.client() as client:
            assert client.get_secret("s0")["value"].reveal() == "v0"
            assert server.asked()["secret/data/s0"] == 1
            kill(node)
            assert client.get_secret("s1")["value"].reveal() == "v1"
        assert node_of(server) not in (0, node)
        starter.stdin.close()


def test_while_the_server_is_away_what_is_known_is_told_up_to_its_limit(server, node_of):
    """A process that asks for the first time gets what others were told, until that is older than the limit; then nothing."""
    with server.client() as first:
        first.get_secret("s0")
    server.process.kill()
    server.process.wait()
    with server.client(revalidate=0.01, timeout=1, cache_ttl=60) as late:
        assert late.get_secret("s0")["value"].reveal() == "v0"
        with pytest.raises(Unreachable, match="no server answers at"):
            late.get_secret("s1")
    with server.client(revalidate=0.01, timeout=1, cache_ttl=0.05) as strict:
        with pytest.raises(Unreachable):
            strict.get_secret("s0")
        assert node_of(server)


def test_a_write_is_read_at_once(two):
    """Who writes gets no older value afterwards, and neither does the next who asks the server."""
    one, _ = two
    assert [client.get_secret("s0")["value"].reveal() for client in two] == ["v0", "v0"]
    one.kv.put("s0", {"value": "new"})
    time.sleep(0.02)  # so that the other asks at all
    assert [client.get_secret("s0")["value"].reveal() for client in two] == ["new", "new"]


def test_nobody_is_told_what_another_identity_was_given(server):
    """A token without the right is refused what is known here by another's."""
    with server.client(share="off") as root:
        poor = root.write("auth/token/create", {"policies": ["default"]}).auth["client_token"]
    with server.client() as rich, server.client(poor) as other:
        rich.get_secret("s0")
        with pytest.raises(Denied):
            other.get_secret("s0")


def test_what_is_refused_is_not_kept(two):
    """A secret that was not there a moment ago is found as soon as it is, by whoever asks."""
    one, other = two
    for client in two:
        with pytest.raises(NotFound):
            client.get_secret("later")
    one.kv.put("later", {"value": "here"})
    assert other.get_secret("later")["value"].reveal() == "here"


def test_it_holds_no_secret_where_others_look(server, node_of):
    """Neither its arguments nor its environment hold the token, its memory is not to be read, and its folder is the user's alone."""
    os.environ["ML_SECRETS_TOKEN"] = server.token
    try:
        with server.client() as client:
            client.get_secret("s0")
            seen = Path(f"/proc/{node_of(server)}")
            if os.geteuid() == 0:
                shown = (seen / "environ").read_bytes() + (seen / "cmdline").read_bytes()
                assert server.token.encode() not in shown
            assert (seen / "environ").stat().st_uid == 0
    finally:
        del os.environ["ML_SECRETS_TOKEN"]
    place = Path(place_for(resolve(address=server.url)).socket)
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert place.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_told_nothing(server, meeting):
    """Even where the folders let him in, another user's connection is closed without a word, and his socket is not used."""
    with server.client() as client:
        client.get_secret("s0")
        place = place_for(resolve(address=server.url))
        for path in (meeting, meeting / "ml-secrets", meeting / "ml-secrets" / "node", Path(place.socket)):
            path.chmod(0o777)
        as_other = f"""
import os, socket
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect({place.socket!r})
try:
    s.sendall(b"\\0\\0\\0\\1x")
    told = s.recv(1)
except ConnectionError:
    told = b""
raise SystemExit(len(told))
"""
        assert subprocess.run([sys.executable, "-c", as_other], check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_socket_is_not_used(server, meeting):
    """Where another user serves at the place, no token goes there: the call fails, and says why."""
    place = place_for(resolve(address=server.url))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place.socket)
        os.seteuid(65534)
        try:
            listening.listen()
        finally:
            os.seteuid(0)
        with server.client() as client, pytest.raises(Denied, match="another user"):
            client.get_secret("s0")


def test_a_folder_of_others_is_not_met_in(server, meeting, node_of):
    """Where the folder is open to others it is not used: nobody meets there, and the secret comes the usual way."""
    (meeting / "ml-secrets").mkdir(mode=0o755)
    (meeting / "ml-secrets").chmod(0o755)
    assert not place_for(resolve(address=server.url)).socket.startswith(str(meeting))


def test_it_ends_with_its_last_user(server, node_of):
    """When nobody is connected any more it is gone soon, and so is what it knew and its socket."""
    with server.client() as client:
        client.get_secret("s0")
        node = node_of(server)
    assert eventually(lambda: not alive(node))
    assert not Path(place_for(resolve(address=server.url)).socket).exists()


def test_a_forked_child_asks_with_the_others(server):
    """A child that is forked with a client in use has a connection of its own, and what the node knows costs no request."""
    with server.client() as client:
        client.get_secret("s0")
        child = os.fork()
        if child == 0:
            found = client.get_secret("s0")["value"].reveal()
            os._exit(0 if found == "v0" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert client.get_secret("s1")["value"].reveal() == "v1"
    assert server.asked() == Counter(
        {"sys/internal/ui/mounts/secret": 1, "secret/data/s0": 1, "secret/data/s1": 1}
    )


ALONE = """
import os, threading
from pathlib import Path
from ml_secrets import get_secret
get_secret("s0")
assert threading.active_count() == 1
assert not any(Path(os.environ["XDG_RUNTIME_DIR"]).iterdir())
assert not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
import sys
assert "ml_secrets.client.node.transport" not in sys.modules
"""


def test_a_process_that_is_alone_is_left_alone(server):
    """Without a launcher there is no folder, no socket, no thread, no process, and not even the module."""
    environment = {**os.environ, "ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": server.token}
    del environment["ML_SECRETS_SHARE"]
    assert subprocess.run([sys.executable, "-c", ALONE], env=environment, check=False).returncode == 0


def test_live_secrets_wait_together(server):
    """Handles in several processes wait by one request to the server, and all are told of a change."""
    clients = [server.client() for _ in range(6)]
    handles = [client.live("s0") for client in clients]
    assert [handle["value"].reveal() for handle in handles] == ["v0"] * 6
    with server.client(share="off") as writer:
        assert eventually(lambda: server.asked() is not None)
        writer.kv.put("s0", {"value": "new"})
    assert eventually(lambda: [handle["value"].reveal() for handle in handles] == ["new"] * 6)
    asked = server.asked()["secret/data/s0"]
    assert asked <= 3, asked
    for client in clients:
        client.close()
