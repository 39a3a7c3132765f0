"""Wrapped answers: each is opened once, by whoever holds its token, and nothing else can be done with that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

if TYPE_CHECKING:
    from tests.conformance.models.asking import Server

WHICH = st.integers(0, 20)
FIELDS = st.dictionaries(
    st.sampled_from("xyz"), st.integers(0, 3) | st.sampled_from(["", "text"]), min_size=1
)


@dataclass(slots=True)
class Wrapped:
    """A wrapping: what lies in it, where it was made, whether it can still be opened."""

    token: str
    content: dict
    path: str
    open: bool = True


class Wrapping(RuleBasedStateMachine):
    """Any calls in any order: what can be opened is what the model says, and gives what was put in."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.mount = server, server.new_mount()
        self.wrapped: list[Wrapped] = []
        self.wrap({"x": 0})

    def teardown(self) -> None:
        for wrapped in self.wrapped:
            self.server.ask("POST", "auth/token/revoke", {"token": wrapped.token})
        self.server.ask("DELETE", f"sys/mounts/{self.mount}")

    def choose(self, which: int) -> Wrapped:
        return self.wrapped[which % len(self.wrapped)]

    def keep(self, answer, content, path):
        info = answer.body["wrap_info"]
        assert (answer.status, info["ttl"]) == (200, 300)
        assert info["creation_path"] == path
        self.wrapped.append(Wrapped(info["token"], content, path))

    @rule(fields=FIELDS)
    def wrap(self, fields):
        answer = self.server.ask("POST", "sys/wrapping/wrap", fields, wrap="5m")
        self.keep(answer, fields, "sys/wrapping/wrap")

    @rule(fields=FIELDS)
    def wrap_a_secret(self, fields):
        path = f"{self.mount}/data/a"
        assert self.server.ask("POST", path, {"data": fields}).status == 200
        self.keep(self.server.ask("GET", path, wrap="300"), {"data": fields}, path)

    @rule()
    def what_is_not_there_is_not_wrapped(self):
        answer = self.server.ask("GET", f"{self.mount}/data/none", wrap="300")
        assert answer.status == 404
        assert not (answer.body or {}).get("wrap_info")

    def check_opened(self, wrapped, answer, refused):
        if not wrapped.open:
            assert answer.status in refused
            return
        assert answer.status == 200
        content = {name: answer.data[name] for name in wrapped.content}
        assert content == wrapped.content
        wrapped.open = False

    @rule(which=WHICH)
    def unwrap(self, which):
        wrapped = self.choose(which)
        answer = self.server.ask("POST", "sys/wrapping/unwrap", {"token": wrapped.token})
        self.check_opened(wrapped, answer, {400})

    @rule(which=WHICH)
    def unwrap_by_its_own_token(self, which):
        wrapped = self.choose(which)
        answer = self.server.ask("POST", "sys/wrapping/unwrap", token=wrapped.token)
        self.check_opened(wrapped, answer, {400, 403})

    @rule(which=WHICH)
    def rewrap(self, which):
        wrapped = self.choose(which)
        answer = self.server.ask("POST", "sys/wrapping/rewrap", {"token": wrapped.token})
        if wrapped.open:
            wrapped.open = False
            self.keep(answer, wrapped.content, wrapped.path)
        else:
            assert answer.status == 400

    @rule(which=WHICH, path=st.sampled_from(["sys/mounts", "cubbyhole/none", "auth/token/lookup-self"]))
    def try_it_elsewhere(self, which, path):
        """403, and that was its one use."""
        wrapped = self.choose(which)
        assert self.server.ask("GET", path, token=wrapped.token).status in (400, 403)
        wrapped.open = False

    @rule(which=WHICH)
    def revoke(self, which):
        wrapped = self.choose(which)
        if wrapped.open:
            assert self.server.ask("POST", "auth/token/revoke", {"token": wrapped.token}).status == 204
            wrapped.open = False

    @invariant()
    def a_look_from_outside_opens_nothing(self):
        for wrapped in self.wrapped:
            answer = self.server.ask("POST", "sys/wrapping/lookup", {"token": wrapped.token}, token="")
            assert answer.status == (200 if wrapped.open else 400)
            if wrapped.open:
                assert (answer.data["creation_path"], answer.data["creation_ttl"]) == (wrapped.path, 300)
