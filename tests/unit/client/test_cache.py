"""What the cache serves, to whom, and until when."""

import threading
import timeit

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ml_secrets import errors
from ml_secrets.client.cache import Cache, Key
from ml_secrets.client.secret import Secret
from ml_secrets.sensitive import Sensitive


def secret(number):
    text = str(number)
    return Secret("n", Sensitive(text), {"value": Sensitive(text)}, mount="m")


class Model(RuleBasedStateMachine):
    """A server whose secrets change, and a cache before it, against what the rules allow."""

    TTL, REVALIDATE = 100.0, 5.0
    keys = st.builds(
        Key,
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["m", "m/n"]),
        st.sampled_from(["a", "b/a"]),
        st.sampled_from([None, 1]),
    )

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.cache = Cache(self.TTL, self.REVALIDATE)
        self.kept = {}
        self.asked = []
        self.count = 0

    @rule(key=keys, etag=st.sampled_from(["", '"e"']))
    def ask(self, key, etag):
        self.count += 1
        self.asked.append((key, etag, self.now, self.cache.generation, self.count))

    @rule(data=st.data())
    def answer(self, data):
        if self.asked:
            key, etag, then, generation, number = self.asked.pop(
                data.draw(st.integers(0, len(self.asked) - 1))
            )
            current = generation == self.cache.generation
            self.cache.keep(key, secret(number), etag, now=then, generation=generation)
            if current:
                self.kept[key] = (number, then, etag)

    @rule(key=keys)
    def write(self, key):
        self.cache.forget(key.mount, key.name)
        self.kept = {k: v for k, v in self.kept.items() if (k.mount, k.name) != (key.mount, key.name)}

    @rule(path=st.sampled_from(["m/data/a", "m/n/data/b/a", "other/x", "sys/mounts"]))
    def write_path(self, path):
        touched = [key for key in self.kept if path.startswith(key.mount + "/")]
        self.cache.forget_path(path)
        for key in touched or list(self.kept):
            del self.kept[key]

    @rule(key=keys)
    def refuse(self, key):
        self.cache.drop(key)
        self.kept.pop(key, None)

    @rule(seconds=st.sampled_from([0.5, 4.0, 5.0, 96.0]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def serves_what_is_allowed(self):
        for scope in ("s1", "s2"):
            for mount in ("m", "m/n"):
                for name in ("a", "b/a"):
                    for version in (None, 1):
                        key = Key(scope, mount, name, version)
                        served, stale = self.cache.fresh(key, self.now), self.cache.stale(key, self.now)
                        number, then, etag = self.kept.get(key, (None, 0, ""))
                        fresh = number is not None and self.now < then + (
                            self.REVALIDATE if etag else self.TTL
                        )
                        assert (served.reveal() if served else None) == (str(number) if fresh else None)
                        alive = number is not None and self.now < then + self.TTL
                        assert (stale.secret.reveal() if stale else None) == (str(number) if alive else None)


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_the_cache_serves_what_its_rules_allow = Model.TestCase


def test_it_does_not_grow_without_end(monkeypatch):
    """Past its size it makes room: first what has expired, then the oldest."""
    monkeypatch.setattr("ml_secrets.client.cache.MOST_ENTRIES", 3)
    cache = Cache(10, 5)
    for number in range(3):
        cache.keep(Key("s", "m", str(number)), secret(number), "", now=number, generation=0)
    cache.keep(Key("s", "m", "3"), secret(3), "", now=3, generation=0)
    assert [key.name for key in cache.entries] == ["1", "2", "3"]
    cache.keep(Key("s", "m", "4"), secret(4), "", now=12.5, generation=0)
    assert [key.name for key in cache.entries] == ["3", "4"]


def test_a_value_is_served_without_asking_until_its_ttl(serve, client_of, wire, clock):
    """One read for many uses; after the TTL another. TTL 0 asks every time."""
    server = serve(lambda asked, number: wire.kv2(f"v{number}"))
    client = clock.drive(client_of(server, cache_ttl=300))
    assert {client.get_secret("a").reveal() for _ in range(50)} == {"v1"}
    clock.now += 299
    assert client.get_secret("a").reveal() == "v1"
    clock.now += 2
    assert client.get_secret("a").reveal() == "v2"
    uncached = client_of(server, cache_ttl=0)
    assert [uncached.get_secret("a").reveal() for _ in range(2)] == ["v3", "v4"]


def test_a_conditional_read_confirms_a_value_and_notices_a_rotation(serve, client_of, wire, clock):
    """With an ETag the server is asked again after `revalidate`: 304 keeps the value, 200 brings the new one."""
    state = {"etag": '"1"', "value": "old"}

    def answer(asked, number):
        if asked.headers.get("if-none-match") == state["etag"]:
            return wire.http(304, b"", [f"ETag: {state['etag']}"])
        return wire.kv2(state["value"], etag=state["etag"])

    server = serve(answer)
    client = clock.drive(client_of(server))
    assert client.get_secret("a").reveal() == "old"
    clock.now += 6
    assert client.get_secret("a").reveal() == "old"
    assert server.asked[1].headers["if-none-match"] == '"1"'
    state.update(etag='"2"', value="new")
    assert client.get_secret("a").reveal() == "old"  # within `revalidate` of the last confirmation
    clock.now += 6
    assert client.get_secret("a").reveal() == "new"
    assert len(server.asked) == 3


def test_a_server_that_is_gone_does_not_stop_what_was_read_before(serve, client_of, wire, clock):
    """A value is served on while the server cannot be asked, but not beyond its TTL."""
    gone = threading.Event()
    server = serve(lambda asked, number: None if gone.is_set() else wire.kv2("x", etag='"1"'))
    client = clock.drive(client_of(server))
    client.get_secret("a")
    gone.set()
    clock.now += 290
    assert client.get_secret("a").reveal() == "x"
    clock.now += 11
    with pytest.raises(errors.Unreachable):
        client.get_secret("a")


@pytest.mark.parametrize(
    ("status", "texts", "kind"),
    [
        (403, ["1 error occurred:\n\t* permission denied\n\n"], errors.Denied),
        (403, ["permission denied"], errors.Unauthenticated),
        (404, [], errors.NotFound),
    ],
)
def test_what_the_server_refuses_is_served_no_more(serve, client_of, wire, clock, status, texts, kind):
    """A revoked token, a lost right and a deleted secret end the service at the next check, and no refusal is kept."""
    refuse = threading.Event()
    server = serve(
        lambda asked, number: (
            wire.http(status, {"errors": texts}) if refuse.is_set() else wire.kv2("x", etag='"1"')
        )
    )
    client = clock.drive(client_of(server))
    client.get_secret("a")
    refuse.set()
    clock.now += 6
    for _ in range(2):
        with pytest.raises(kind):
            client.get_secret("a")
    refuse.clear()
    assert client.get_secret("a").reveal() == "x"


def test_a_dead_token_ends_the_service_of_everything_it_was_given(serve, client_of, wire):
    """When any call finds the token unknown, other values read with it go, too, ETag or not."""
    server = serve(
        lambda asked, number: (
            wire.kv2("x") if number == 1 else wire.http(403, {"errors": ["permission denied"]})
        )
    )
    client = client_of(server)
    client.get_secret("a")
    with pytest.raises(errors.Unauthenticated):
        client.read("sys/mounts")
    with pytest.raises(errors.Unauthenticated):
        client.get_secret("a")


def test_another_identity_is_served_nothing_of_the_one_before(serve, client_of, wire):
    """A new token on the same client starts from nothing."""
    server = serve(lambda asked, number: wire.kv2(asked.headers["x-vault-token"]))
    client = client_of(server, "alice")
    assert client.get_secret("a").reveal() == "alice"
    client.token = "bob"
    assert client.get_secret("a").reveal() == "bob"
    client.token = "alice"
    assert client.get_secret("a").reveal() == "alice"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "change", ["put", "patch", "delete", "undelete", "destroy", "delete_all", "put_metadata", "write"]
)
def test_an_own_write_is_seen_at_once(serve, client_of, wire, change):
    """Whatever is written through a client, the client's next read asks the server."""
    server = serve(lambda asked, number: wire.kv2(f"v{number}") if asked.method == "GET" else wire.http(204))
    client = client_of(server)
    assert client.get_secret("a").reveal() == "v1"
    {
        "put": lambda: client.kv.put("a", {"value": "x"}),
        "patch": lambda: client.kv.patch("a", {"value": "x"}),
        "delete": lambda: client.kv.delete("a"),
        "undelete": lambda: client.kv.undelete("a", [1]),
        "destroy": lambda: client.kv.destroy("a", [1]),
        "delete_all": lambda: client.kv.delete_all("a"),
        "put_metadata": lambda: client.kv.put_metadata("a", {"custom_metadata": {"k": "v"}}),
        "write": lambda: client.write("secret/data/a", {"data": {"value": "x"}}),
    }[change]()
    assert client.get_secret("a").reveal() == "v3"


@pytest.mark.parametrize("name", ["/a", "a/", "/a/"])
def test_a_name_with_outer_slashes_is_the_same_secret(serve, client_of, wire, name):
    """Also to the cache: what was written under the one is not served as it was under the other."""
    server = serve(lambda asked, number: wire.kv2(f"v{number}") if asked.method == "GET" else wire.http(204))
    client = client_of(server)
    assert client.get_secret("a").reveal() == "v1"
    client.kv.put(name, {"value": "x"})
    assert server.asked[1].path == "/v1/secret/data/a"
    assert client.get_secret("a").reveal() == "v3"


@pytest.mark.parametrize(
    "change",
    [
        lambda kv: kv.put("", {}),
        lambda kv: kv.patch("/", {}),
        lambda kv: kv.delete(""),
        lambda kv: kv.destroy("a//b", [1]),
        lambda kv: kv.delete_all(""),
        lambda kv: kv.put_metadata(None, {}),
        lambda kv: kv.metadata("../a"),
    ],
)
def test_no_name_is_not_the_mount(serve, client_of, wire, change):
    """A name that is empty, as an unset variable gives, deletes and writes nothing: nothing is sent."""
    server = serve(lambda asked, number: wire.http(204))
    with pytest.raises(errors.Invalid, match="is no path"):
        change(client_of(server).kv)
    assert not server.asked


def test_a_read_of_now_takes_nothing_from_the_cache(serve, client_of, wire):
    """`kv.get` of a server that is gone fails; what the cache has is served on to who asks the cache."""
    gone = threading.Event()
    server = serve(lambda asked, number: None if gone.is_set() else wire.kv2(f"v{number}"))
    client = client_of(server)
    assert client.get_secret("a").reveal() == "v1"
    assert client.kv.get("a").reveal() == "v2"
    assert client.get_secret("a").reveal() == "v2"
    gone.set()
    with pytest.raises(errors.Unreachable):
        client.kv.get("a")
    assert client.get_secret("a").reveal() == "v2"


def test_a_value_read_before_an_own_write_is_not_kept(serve, client_of, wire):
    """A slow read that began before a write and ends after it does not bring the old value back."""
    reading, written = threading.Event(), threading.Event()

    def answer(asked, number):
        if asked.method == "POST":
            return wire.http(204)
        if number == 1:
            reading.set()
            assert written.wait(5)
            return wire.kv2("old")
        return wire.kv2("new")

    client = client_of(serve(answer))
    got = []
    slow = threading.Thread(target=lambda: got.append(client.get_secret("a").reveal()))
    slow.start()
    assert reading.wait(5)
    client.kv.put("a", {"value": "new"})
    assert client.get_secret("a").reveal() == "new"  # does not join the read that began before
    written.set()
    slow.join(5)
    assert got == ["old"]
    assert client.get_secret("a").reveal() == "new"


def test_mounts_versions_and_fields_are_kept_apart(serve, client_of, wire):
    """Every part of the key counts."""
    server = serve(lambda asked, number: wire.kv2({"p": asked.path, "q": str(asked.query)}))
    client = client_of(server)
    got = {
        client.get_secret("a", field="p").reveal() + client.get_secret("a", field="q").reveal(),
        client.get_secret("a", mount="other", field="p").reveal(),
        client.get_secret("a", version=2, field="q").reveal(),
        client.get_secret("b", field="p").reveal(),
    }
    assert got == {"/v1/secret/data/a{}", "/v1/other/data/a", "{'version': '2'}", "/v1/secret/data/b"}
    assert len(server.asked) == 4


def test_a_cached_secret_costs_about_a_microsecond(serve, client_of, wire):
    """One dictionary look-up and one look at the clock. Measured 0.4 us; the bound leaves room for a busy machine."""
    client = client_of(serve(lambda asked, number: wire.kv2("x")))
    client.get_secret("a")
    best = min(timeit.repeat(lambda: client.get_secret("a"), number=5000, repeat=9)) / 5000
    assert best < 10e-6
