"""KV version 2 as a few lines of Python: secrets in folders, their versions, and what each call does to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

if TYPE_CHECKING:
    from tests.conformance.models.asking import Said, Server

NAMES = st.sampled_from(["a", "dir/b", "dir/sub/c"])
FIELDS = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3) | st.sampled_from(["", "text", None]))
NUMBERS = st.lists(st.integers(1, 5), min_size=1, max_size=3)
CAS = st.none() | st.integers(0, 4)
KEPT = 10
"""Versions that a secret keeps when nobody says how many."""


@dataclass(slots=True)
class Secret:
    """`versions`: number -> [fields, or None when destroyed; whether it is deleted]."""

    versions: dict[int, list] = field(default_factory=dict)
    current: int = 0
    kept: int = 0
    cas_required: bool = False
    custom: dict[str, str] = field(default_factory=dict)

    def living(self, number: int) -> bool:
        """Whether a read of it gives fields."""
        found = self.versions.get(number)
        return found is not None and found[0] is not None and not found[1]

    def add(self, fields: dict) -> None:
        """A new version; the oldest go."""
        self.current += 1
        self.versions[self.current] = [fields, False]
        for number in [n for n in self.versions if n <= self.current - (self.kept or KEPT)]:
            del self.versions[number]

    def refuses(self, cas: int | None) -> bool:
        """Whether check-and-set stands against a write."""
        return self.cas_required if cas is None else cas != self.current


class Kv2(RuleBasedStateMachine):
    """Any calls in any order on one mount: after each, every version of every secret, and every list, is as the model has it."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.mount = server, server.new_mount()
        self.secrets: dict[str, Secret] = {}

    def teardown(self) -> None:
        self.server.ask("DELETE", f"sys/mounts/{self.mount}")

    def ask(self, method: str, path: str, body: object = None) -> Said:
        return self.server.ask(method, f"{self.mount}/{path}", body)

    def write(self, method: str, name: str, fields: dict, cas: int | None) -> Said:
        options = {} if cas is None else {"options": {"cas": cas}}
        return self.ask(method, f"data/{name}", {"data": fields, **options})

    @rule(name=NAMES, fields=FIELDS, cas=CAS)
    def put(self, name, fields, cas):
        answer, secret = self.write("POST", name, fields, cas), self.secrets.get(name, Secret())
        if secret.refuses(cas):
            assert answer.status == 400
            return
        self.secrets[name] = secret
        secret.add(fields)
        assert (answer.status, answer.data["version"]) == (200, secret.current)

    @rule(name=NAMES, fields=FIELDS, cas=CAS)
    def patch(self, name, fields, cas):
        answer, secret = self.write("PATCH", name, fields, cas), self.secrets.get(name, Secret())
        if not secret.living(secret.current):
            assert answer.status in (400, 404)
        elif secret.refuses(cas):
            assert answer.status == 400
        else:
            merged = secret.versions[secret.current][0] | fields
            secret.add({key: value for key, value in merged.items() if fields.get(key, 0) is not None})
            assert (answer.status, answer.data["version"]) == (200, secret.current)

    @rule(name=NAMES)
    def delete_latest(self, name):
        assert self.ask("DELETE", f"data/{name}").status == 204
        self.mark(name, [self.secrets[name].current] if name in self.secrets else [], deleted=True)

    @rule(name=NAMES, numbers=NUMBERS)
    def delete(self, name, numbers):
        assert self.ask("POST", f"delete/{name}", {"versions": numbers}).status == 204
        self.mark(name, numbers, deleted=True)

    @rule(name=NAMES, numbers=NUMBERS)
    def undelete(self, name, numbers):
        assert self.ask("POST", f"undelete/{name}", {"versions": numbers}).status == 204
        self.mark(name, numbers, deleted=False)

    @rule(name=NAMES, numbers=NUMBERS)
    def destroy(self, name, numbers):
        assert self.ask("PUT", f"destroy/{name}", {"versions": numbers}).status == 204
        for number in numbers:
            if name in self.secrets and number in self.secrets[name].versions:
                self.secrets[name].versions[number][0] = None

    def mark(self, name, numbers, *, deleted):
        for number in numbers:
            if name in self.secrets and number in self.secrets[name].versions:
                self.secrets[name].versions[number][1] = deleted

    @rule(name=NAMES, kept=st.integers(0, 3), cas_required=st.booleans(), owner=st.sampled_from(["", "me"]))
    def settle(self, name, kept, cas_required, owner):
        custom = {"owner": owner} if owner else {}
        body = {"max_versions": kept, "cas_required": cas_required, "custom_metadata": custom}
        assert self.ask("POST", f"metadata/{name}", body).status == 204
        secret = self.secrets.setdefault(name, Secret())
        secret.kept, secret.cas_required, secret.custom = kept, cas_required, custom

    @rule(name=NAMES)
    def forget(self, name):
        assert self.ask("DELETE", f"metadata/{name}").status == 204
        self.secrets.pop(name, None)

    @invariant()
    def every_version_reads_as_it_was_written(self):
        for name, secret in self.secrets.items():
            for number in {0, 1, secret.current + 1, *secret.versions}:
                answer, meant = self.ask("GET", f"data/{name}?version={number}"), number or secret.current
                if secret.living(meant):
                    assert (answer.status, answer.data["data"]) == (200, secret.versions[meant][0])
                else:
                    assert answer.status == 404
                    assert ("data" in answer.body) == (meant in secret.versions)

    @invariant()
    def metadata_tells_of_every_version(self):
        for name, secret in self.secrets.items():
            shown = self.ask("GET", f"metadata/{name}").data
            assert shown["current_version"] == secret.current
            assert (shown["custom_metadata"] or {}) == secret.custom
            assert {int(number): version["destroyed"] for number, version in shown["versions"].items()} == {
                number: fields is None for number, (fields, _) in secret.versions.items()
            }

    @invariant()
    def lists_show_what_is_there(self):
        for folder in ("", "dir/", "dir/sub/"):
            inside = [name[len(folder) :] for name in self.secrets if name.startswith(folder)]
            keys = sorted({first + slash for first, slash, _ in (name.partition("/") for name in inside)})
            answer = self.ask("LIST", f"metadata/{folder}")
            assert (answer.status, answer.status == 200 and answer.data["keys"]) == (
                (200, keys) if keys else (404, False)
            )
