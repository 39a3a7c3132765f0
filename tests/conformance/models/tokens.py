"""Tokens as a tree: who may make which, how often each is used, and what ends with what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

if TYPE_CHECKING:
    from tests.conformance.models.asking import Server

MAKER, READER = "model-maker", "model-reader"
"""One may make tokens and look up its own; the other may look up its own alone."""
OWN = 'path "auth/token/lookup-self" { capabilities = ["read"] }\npath "auth/token/revoke-self" { capabilities = ["update"] }\n'
RULES = {
    MAKER: OWN + 'path "auth/token/create" { capabilities = ["create", "update"] }',
    READER: OWN,
}
POLICIES = st.sampled_from([(MAKER,), (READER,), (MAKER, READER)])
WHICH = st.integers(0, 20)


@dataclass(slots=True)
class Token:
    """`parent` is a place in the machine's list; None has none that it ends with. `uses` None is without end."""

    text: str
    accessor: str
    policies: frozenset[str]
    parent: int | None
    batch: bool = False
    uses: int | None = None
    gone: bool = False


class Tokens(RuleBasedStateMachine):
    """Any calls in any order: after each, exactly those tokens live that the model has alive."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        for name, text in RULES.items():
            assert server.ask("PUT", f"sys/policies/acl/{name}", {"policy": text}).status == 204
        self.tokens: list[Token] = []
        self.make(None, (MAKER, READER), uses=0, batch=False, orphan=False)

    def teardown(self) -> None:
        for token in self.tokens:
            if not token.batch:
                self.server.ask("POST", "auth/token/revoke", {"token": token.text})

    def choose(self, which: int) -> int:
        return which % len(self.tokens)

    def lives(self, at: int) -> bool:
        """A batch token is dead with its parent; a service token is ended with it."""
        token = self.tokens[at]
        return not token.gone and not (
            token.batch and token.parent is not None and not self.lives(token.parent)
        )

    def spend(self, at: int) -> bool:
        """Whether a request with the token is let in; it takes one of its uses."""
        token, alive = self.tokens[at], self.lives(at)
        if alive and token.uses is not None:
            token.uses -= 1
            if not token.uses:
                self.end(at)
        return alive

    def end(self, at: int, *, children: bool = True) -> None:
        self.tokens[at].gone = True
        for below, token in enumerate(self.tokens):
            if token.parent == at and not token.batch and not token.gone:
                if children:
                    self.end(below)
                else:
                    token.parent = None

    @rule(
        which=WHICH,
        policies=POLICIES,
        uses=st.sampled_from([0, 0, 2, 3]),
        batch=st.booleans(),
        orphan=st.booleans(),
    )
    def create(self, which, policies, uses, batch, orphan):
        if len(self.tokens) < 12:
            self.make(self.choose(which), policies, uses=uses, batch=batch, orphan=orphan)

    def make(self, by, policies, *, uses, batch, orphan):
        maker = None if by is None else self.tokens[by]
        body = {"policies": policies, "no_default_policy": True, "ttl": "1h"}
        body |= {"num_uses": uses} if uses else {}
        body |= {"type": "batch"} if batch else {}
        body |= {"no_parent": True} if orphan else {}
        limited = maker is not None and maker.uses is not None
        alive = by is None or self.spend(by)
        answer = self.server.ask("POST", "auth/token/create", body, token=maker.text if maker else None)
        if not alive or (maker and MAKER not in maker.policies):
            assert answer.status == 403
        elif maker and (maker.batch or limited or orphan or not maker.policies >= {*policies}):
            assert answer.status in (400, 403)
        elif batch and uses:
            assert answer.status == 400
        else:
            assert answer.status == 200, answer
            auth = answer.body["auth"]
            assert {*auth["policies"]} == {*policies}
            made = Token(
                auth["client_token"],
                auth["accessor"],
                frozenset(policies),
                None if orphan else by,
                batch,
                uses or None,
            )
            self.tokens.append(made)

    @rule(which=WHICH)
    def look_at_itself(self, which):
        at = self.choose(which)
        token = self.tokens[at]
        alive = self.spend(at)
        answer = self.server.ask("GET", "auth/token/lookup-self", token=token.text)
        assert answer.status == (200 if alive else 403)
        if alive and not token.gone:
            assert answer.data["num_uses"] == (token.uses or 0)
            assert {*answer.data["policies"]} == token.policies

    @rule(which=WHICH)
    def go_where_it_may_not(self, which):
        at = self.choose(which)
        self.spend(at)
        assert self.server.ask("GET", "sys/mounts", token=self.tokens[at].text).status == 403

    @rule(which=WHICH)
    def revoke(self, which):
        at = self.choose(which)
        token = self.tokens[at]
        answer = self.server.ask("POST", "auth/token/revoke", {"token": token.text})
        assert answer.status == (400 if token.batch and self.lives(at) else answer.status)
        if not token.batch and not token.gone:
            assert answer.status == 204
            self.end(at)

    @rule(which=WHICH)
    def revoke_by_accessor(self, which):
        at = self.choose(which)
        token = self.tokens[at]
        if not token.batch:
            answer = self.server.ask("POST", "auth/token/revoke-accessor", {"accessor": token.accessor})
            assert (answer.status == 204) == (not token.gone)
            if not token.gone:
                self.end(at)

    @rule(which=WHICH)
    def revoke_but_spare_the_children(self, which):
        at = self.choose(which)
        token = self.tokens[at]
        if not token.batch and not token.gone:
            assert self.server.ask("POST", "auth/token/revoke-orphan", {"token": token.text}).status == 204
            self.end(at, children=False)

    @rule(which=WHICH)
    def revoke_itself(self, which):
        at = self.choose(which)
        token = self.tokens[at]
        alive = self.spend(at)
        answer = self.server.ask("POST", "auth/token/revoke-self", token=token.text)
        if not alive:
            assert answer.status == 403
        elif not token.batch:
            assert answer.status == 204
            if not token.gone:
                self.end(at)

    @invariant()
    def the_living_and_only_they_are_found(self):
        for at, token in enumerate(self.tokens):
            expected = 200 if self.lives(at) else 403
            answer = self.server.find(token.text, expected)
            assert answer.status == expected, (at, token)
            if self.lives(at):
                assert answer.data["num_uses"] == (token.uses or 0)
                assert answer.data["orphan"] == (token.parent is None and at > 0)
