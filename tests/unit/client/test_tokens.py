"""Logging in, renewing, and logging in again. The clock of the session is turned by hand; sockets are real."""

import threading

import pytest

from ml_secrets import Client, errors
from ml_secrets.client import approle, userpass
from ml_secrets.sensitive import Sensitive


def auth(token, ttl=90, renewable=True):
    return {
        "client_token": token,
        "lease_duration": ttl,
        "renewable": renewable,
        "accessor": "a",
        "policies": [],
    }


class Keeper:
    """The token side of a server: counts logins and renewals, knows which tokens live."""

    def __init__(self, wire, ttl=90, renewable=True, renewed=90):
        self.wire, self.ttl, self.renewable, self.renewed = wire, ttl, renewable, renewed
        self.logins = self.renewals = 0
        self.alive = set()
        self.lock = threading.Lock()

    def __call__(self, asked, number):
        wire, token = self.wire, asked.headers.get("x-vault-token")
        if "/login" in asked.path:
            if asked.json.get("password", "right") != "right":
                return wire.http(400, {"errors": ["invalid username or password"]})
            with self.lock:
                self.logins += 1
                self.alive = {f"token-{self.logins}"}
            return wire.http(
                200, wire.envelope(None, auth=auth(f"token-{self.logins}", self.ttl, self.renewable))
            )
        if token not in self.alive:
            return wire.http(403, {"errors": ["permission denied"]})
        if asked.path.endswith("renew-self"):
            self.renewals += 1
            return wire.http(200, wire.envelope(None, auth=auth(token, self.renewed)))
        if asked.path.endswith("lookup-self"):
            return wire.http(200, wire.envelope({"ttl": self.ttl, "renewable": self.renewable}))
        return wire.kv2(token)


@pytest.fixture
def keeper(wire):
    return Keeper(wire)


@pytest.fixture
def logged_in(serve, keeper):
    """A client with a login, and a clock to turn: (client, clock)."""
    clock = [1000.0]
    client = Client(serve(keeper).url, login=userpass("ada", "right"), cache_ttl=0)
    client.session.clock = lambda: clock[0]
    yield client, clock
    client.close()


def test_a_client_with_a_login_logs_in_on_first_use(logged_in, keeper):
    """One login, however many reads."""
    client, _ = logged_in
    assert keeper.logins == 0
    assert [client.get_secret("a").reveal() for _ in range(3)] == ["token-1"] * 3
    assert keeper.logins == 1


def test_a_token_is_renewed_when_two_thirds_of_its_life_have_gone_by(logged_in, keeper):
    """Not before, then once, and again after two thirds of what the renewal gave."""
    client, clock = logged_in
    client.get_secret("a")
    for passed, renewals in ((59, 0), (2, 1), (58, 1), (3, 2)):
        clock[0] += passed
        client.get_secret("a")
        assert keeper.renewals == renewals
    assert keeper.logins == 1


def test_many_threads_renew_once(logged_in, keeper):
    """Who comes while a renewal is under way waits for it."""
    client, clock = logged_in
    client.get_secret("a")
    clock[0] += 61
    threads = [threading.Thread(target=client.get_secret, args=(f"n{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (keeper.renewals, keeper.logins) == (1, 1)


def test_a_renewal_that_gives_next_to_nothing_is_answered_by_a_login(logged_in, keeper):
    """Near the longest life of a token renewals shrink; a login is made in time instead of a renewal every second."""
    client, clock = logged_in
    client.get_secret("a")
    keeper.renewed = 5
    clock[0] += 61
    assert client.get_secret("a").reveal() == "token-2"


def test_a_token_that_cannot_be_renewed_is_replaced_in_time(serve, wire):
    """Batch tokens are not renewable: the login is repeated before they end."""
    keeper, clock = Keeper(wire, renewable=False), [0.0]
    with Client(serve(keeper).url, login=approle("role", "secret"), cache_ttl=0) as client:
        client.session.clock = lambda: clock[0]
        client.get_secret("a")
        clock[0] += 61
        assert client.get_secret("a").reveal() == "token-2"
    assert keeper.renewals == 0


def test_a_failed_renewal_can_wait_while_the_token_lives(logged_in, keeper):
    """The server refuses renewals and logins for a while; the token still works, and the next try is later."""
    client, clock = logged_in
    client.get_secret("a")
    keeper.renewed = 0
    client.session.login = userpass("ada", "wrong")
    clock[0] += 61
    assert client.get_secret("a").reveal() == "token-1"
    client.session.login = userpass("ada", "right")
    assert client.get_secret("a").reveal() == "token-1"
    clock[0] += 20
    assert client.get_secret("a").reveal() == "token-2"


def test_a_token_that_is_not_known_any_more_is_replaced_once(logged_in, keeper):
    """Revoked elsewhere: log in, send again, and nobody sees it."""
    client, _ = logged_in
    client.get_secret("a")
    keeper.alive.clear()
    assert client.get_secret("a").reveal() == "token-2"
    assert keeper.logins == 2


def test_a_refused_right_does_not_log_in_again(serve, client_of, wire):
    """A known token without the right stays what it is: no login storm."""
    logins = []

    def answer(asked, number):
        if "/login" in asked.path:
            logins.append(1)
            return wire.http(200, wire.envelope(None, auth=auth("t")))
        return wire.http(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})

    client = client_of(serve(answer), token=None, login=userpass("ada", "x"))
    for _ in range(3):
        with pytest.raises(errors.Denied):
            client.read("secret/data/a")
    assert len(logins) == 1


def test_many_threads_with_a_dead_token_log_in_once(logged_in, keeper):
    """Twelve threads find the token dead at the same time; one login serves all."""
    client, _ = logged_in
    client.get_secret("a")
    keeper.alive.clear()
    got = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(client.get_secret(f"n{n}").reveal()))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == ["token-2"] * 12
    assert keeper.logins == 2


def test_a_refused_login_is_unauthenticated_and_leaves_nobody(serve, client_of, keeper):
    """The wire says 400; the class says what it is. The client keeps no half identity, and the error no password."""
    client = client_of(serve(keeper), token="was")
    with pytest.raises(errors.Unauthenticated, match="invalid username or password") as caught:
        client.login_userpass("ada", "pass-phrase-7")
    assert "pass-phrase-7" not in str(caught.value)
    assert client.token is None
    assert client.session.login is None


def test_a_login_that_cannot_be_sent_changes_nothing(serve, client_of, keeper):
    """The client is who it was before, whole."""
    client = client_of(serve(keeper), token="was")
    scope = client.session.scope
    with pytest.raises(errors.Invalid, match="bytes"):
        client.login_userpass("ada", b"bytes")
    assert (client.token.reveal(), client.session.login, client.session.scope) == ("was", None, scope)


def test_a_login_returns_its_answer_and_is_used(serve, client_of, keeper):
    """`auth` carries what the server said; the token is the client's from then on."""
    client = client_of(serve(keeper), token=None)
    answer = client.login_approle("role", Sensitive("secret"))
    assert answer.auth["lease_duration"] == 90
    assert client.token.reveal() == "token-1"
    assert "token-1" not in repr(answer)
    assert client.get_secret("a").reveal() == "token-1"


def test_a_given_token_is_looked_up_and_renewed(serve, client_of, keeper):
    """`login_token` learns the token's life, so that it is renewed like one that was logged in for."""
    keeper.alive.add("mine")
    client, clock = client_of(serve(keeper), token=None, cache_ttl=0), [5.0]
    client.session.clock = lambda: clock[0]
    assert client.login_token("mine").data["ttl"] == 90
    clock[0] += 61
    client.get_secret("a")
    assert keeper.renewals == 1


def test_a_login_without_a_token_is_an_error(serve, client_of, wire):
    """A second factor would be asked for here; the error says that."""
    server = serve(
        lambda asked, number: wire.http(
            200, wire.envelope(None, auth={"client_token": "", "mfa_requirement": {}})
        )
    )
    with pytest.raises(errors.Unauthenticated, match="second factor"):
        client_of(server, token=None).login_userpass("ada", "x")


def test_a_login_that_may_use_something_up_is_not_repeated(serve, client_of):
    """A secret id may be good for one use only: a broken connection is an error, not a second login."""
    server = serve(lambda asked, number: None)
    with pytest.raises(errors.Unreachable):
        client_of(server, token=None, timeout=2).login_approle("role", "secret")
    assert len(server.asked) == 1


def test_a_token_file_that_was_written_anew_is_read_again(serve, keeper, tmp_path, monkeypatch):
    """An agent replaces the token in its file; the client picks it up when the old one is refused."""
    path = tmp_path / "token"
    path.write_text("first\n")
    monkeypatch.setenv("ML_SECRETS_TOKEN_FILE", str(path))
    keeper.alive = {"first"}
    with Client(serve(keeper).url, cache_ttl=0) as client:
        assert client.get_secret("a").reveal() == "first"
        path.write_text("second")
        keeper.alive = {"second"}
        assert client.get_secret("a").reveal() == "second"
        keeper.alive = set()
        with pytest.raises(errors.Unauthenticated):
            client.get_secret("a")


@pytest.fixture
def root_in_a_file(tmp_path, monkeypatch):
    """The token of somebody with more rights, where every client of this user finds it."""
    path = tmp_path / "token"
    path.write_text("root")
    monkeypatch.setenv("ML_SECRETS_TOKEN_FILE", str(path))


def test_who_logs_in_is_never_somebody_out_of_a_file(serve, keeper, root_in_a_file):
    """A token of few rights that has ended is not followed by the one that lies on the disk, nor is a refused login."""
    keeper.alive = {"poor", "root"}
    with Client(serve(keeper).url, cache_ttl=0) as client:
        assert client.get_secret("a").reveal() == "root"
        client.login_token("poor")
        assert client.get_secret("a").reveal() == "poor"
        keeper.alive = {"root"}
        with pytest.raises(errors.Unauthenticated):
            client.get_secret("a")
        with pytest.raises(errors.Unauthenticated):
            client.login_userpass("ada", "wrong")
        with pytest.raises(errors.Unauthenticated):
            client.get_secret("a")


def test_a_login_that_is_given_comes_before_tokens_that_lie_about(serve, keeper, root_in_a_file):
    """Whoever names a login means to be that one, from the first call on; a token given beside it is used as long as it lives."""
    keeper.alive = {"root", "given"}
    server = serve(keeper)
    with Client(server.url, "given", login=userpass("ada", "right"), cache_ttl=0) as client:
        assert client.get_secret("a").reveal() == "given"
    with Client(server.url, login=userpass("ada", "right"), cache_ttl=0) as client:
        assert client.token is None
        assert client.get_secret("a").reveal() == "token-1"
