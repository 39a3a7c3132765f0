"""KV version 2 as a whole, against a model of a few lines: any order of calls, on a clock that moves."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ml_secrets.contract import Request, Verb
from ml_secrets.engines.kv import KV1, KV2
from ml_secrets.testing.mounted import Mounted

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


@settings(max_examples=200, deadline=None)
@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_every_object_comes_back_byte_for_byte(value, ascii_only, indent):
    """Big integers, Unicode, escapes, order, white space."""
    kv2 = Mounted(KV2)
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert kv2.ask("POST", "data/app", b'{"data":' + text + b"}").status == 200
    assert b'"data":{"data":' + text + b',"metadata":' in kv2.ask("GET", "data/app").body


@settings(max_examples=100, deadline=None)
@given(OBJECTS.filter(bool), st.booleans())
def test_every_field_of_version_1_comes_back(value, ascii_only):
    """Each field's bytes, in order."""
    kv1 = Mounted(KV1)
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    assert kv1.ask("POST", "app", text).status == 204
    answer = kv1.ask("GET", "app")
    assert list(answer.data.items()) == list(value.items())
    for field in value.values():
        assert json.dumps(field, ensure_ascii=ascii_only, separators=(",", ":")).encode() in answer.body


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0d8c1e9.-ntf ', max_size=40).map(str.encode))
def test_no_bytes_bring_it_down(garbage):
    """Whatever comes as data is kept exactly or refused with 400, and then nothing is stored."""
    kv2 = Mounted(KV2)
    answer = kv2.ask("POST", "data/app", b'{"data":' + garbage + b"}")
    if answer.status == 200:
        assert (
            json.loads(kv2.ask("GET", "data/app").body)["data"]["data"]
            == json.loads(b'{"data":' + garbage + b"}")["data"]
        )
    else:
        assert answer.status == 400
        assert kv2.rows() == {}


VERSIONS = st.lists(st.integers(0, 6), min_size=1, max_size=4)
CAS = st.none() | st.integers(0, 6)


class Secret(RuleBasedStateMachine):
    """One secret. The model: `versions` maps a number to [value or None when destroyed, moment of death or None]."""

    def __init__(self):
        super().__init__()
        self.kv2 = Mounted(KV2)
        self.versions = {}
        self.states = {}
        self.exists = False
        self.current = self.max_versions = self.metadata_version = self.delete_after = 0
        self.cas_required = False

    def alive(self, number):
        value, death = self.versions[number]
        return value is not None and (death is None or death > self.kv2.now)

    def dies(self):
        return self.kv2.now + self.delete_after if self.delete_after else None

    def added(self, answer, value):
        self.exists = True
        self.current += 1
        self.versions[self.current] = [value, self.dies()]
        for number in [n for n in self.versions if n <= self.current - (self.max_versions or 10)]:
            del self.versions[number]
        assert (answer.status, answer.data["version"]) == (200, self.current)

    def refused_by_cas(self, cas):
        return self.cas_required if cas is None else cas != self.current

    @rule(value=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), cas=CAS)
    def put(self, value, cas):
        answer = self.kv2.ask(
            "POST", "data/app", {"data": value, **({} if cas is None else {"options": {"cas": cas}})}
        )
        if self.refused_by_cas(cas):
            assert answer.status == 400
        else:
            self.added(answer, value)

    @rule(patch=st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3)), cas=CAS)
    def patch(self, patch, cas):
        answer = self.kv2.ask(
            "PATCH", "data/app", {"data": patch, **({} if cas is None else {"options": {"cas": cas}})}
        )
        if not self.current:
            assert answer.status == 404
        elif self.refused_by_cas(cas):
            assert answer.status == 400
        elif not self.alive(self.current):
            assert answer.status == 404
        else:
            merged = self.versions[self.current][0] | patch
            self.added(answer, {key: value for key, value in merged.items() if value is not None})

    @rule(numbers=st.none() | VERSIONS)
    def delete(self, numbers):
        if numbers is None:
            numbers = [self.current]
            assert self.kv2.ask("DELETE", "data/app").status == 204
        else:
            assert self.kv2.ask("POST", "delete/app", {"versions": numbers}).status == 204
        for number in self.versions.keys() & set(numbers):
            if self.alive(number):
                self.versions[number][1] = self.kv2.now

    @rule(numbers=VERSIONS)
    def undelete(self, numbers):
        assert self.kv2.ask("POST", "undelete/app", {"versions": numbers}).status == 204
        for number in self.versions.keys() & set(numbers):
            self.versions[number][1] = self.dies()

    @rule(numbers=VERSIONS)
    def destroy(self, numbers):
        assert self.kv2.ask("POST", "destroy/app", {"versions": numbers}).status == 204
        for number in self.versions.keys() & set(numbers):
            self.versions[number][0] = None

    @rule(max_versions=st.integers(0, 4), cas_required=st.booleans(), delete_after=st.sampled_from([0, 2, 5]))
    def settle(self, max_versions, cas_required, delete_after):
        body = {
            "max_versions": max_versions,
            "cas_required": cas_required,
            "delete_version_after": delete_after,
        }
        assert self.kv2.ask("POST", "metadata/app", body).status == 204
        self.exists = True
        self.metadata_version += 1
        self.max_versions, self.cas_required, self.delete_after = max_versions, cas_required, delete_after

    @rule()
    def forget(self):
        assert self.kv2.ask("DELETE", "metadata/app").status == 204
        assert self.kv2.rows() == {}
        now = self.kv2.now
        self.__init__()
        self.kv2.now = now

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds):
        self.kv2.now += seconds

    @invariant()
    def reads_agree(self):
        for number in range(1, self.current + 2):
            answer = self.kv2.ask("GET", "data/app", query=f"version={number}")
            if number in self.versions and self.alive(number):
                assert (answer.status, answer.data["data"]) == (200, self.versions[number][0])
            else:
                assert answer.status == 404
                assert ("data" in answer.json) == (number in self.versions)

    @invariant()
    def equal_states_are_equal_answers(self):
        """What the audit log relies on when it hashes an answer once."""
        for number, (value, _) in self.versions.items():
            if value is not None and self.alive(number):
                fields = {"version": msgspec.Raw(b"%d" % number)}
                answer = self.kv2.call(Request("", Verb.READ, "secret/data/app", fields=fields))
                data = msgspec.json.encode(answer.data)
                assert self.states.setdefault(answer.state, data) == data

    @invariant()
    def metadata_agrees(self):
        answer = self.kv2.ask("GET", "metadata/app")
        assert answer.status == (200 if self.exists else 404)
        if self.exists:
            shown = answer.data
            assert (shown["current_version"], shown["current_metadata_version"]) == (
                self.current,
                self.metadata_version,
            )
            assert {int(n): v["destroyed"] for n, v in shown["versions"].items()} == {
                n: v[0] is None for n, v in self.versions.items()
            }

    @invariant()
    def content_is_there_for_the_living_alone(self):
        content = [name for name in self.kv2.rows() if name.startswith("v/")]
        assert len(content) == sum(value is not None for value, _ in self.versions.values())


TestSecret = Secret.TestCase
TestSecret.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.long
class TestSecretLong(Secret.TestCase):
    """The same, for long."""

    settings = settings(max_examples=1500, stateful_step_count=60, deadline=None)
