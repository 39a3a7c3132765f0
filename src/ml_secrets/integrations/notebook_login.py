"""Who a notebook is: a token of its own, which can only read, and ends with the kernel.

1. by a password: log in, and forget the password. By a token: that makes a child, which is used in its place
2. have the server make it read-only, and bound its life to `LIFE` seconds
3. where the server makes no read-only token, the texts of its policies tell what it may do: if it may change anything, or they are
   not to be seen, it is revoked, and refused
4. renew it while the process lives, and revoke it when that ends. After a kill -9 it ends by itself, within `LIFE` seconds

What is held is that one token. So code in the kernel can do no more than the server lets it, whatever it finds in memory.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent.run.tokens import Lasting, revoke
from ml_secrets.client.encoding import hide
from ml_secrets.client.tokens import look_up
from ml_secrets.domain.capability import Capability
from ml_secrets.domain.policy import Policy, Rule, parse_policy
from ml_secrets.domain.read_only import OF_ITSELF
from ml_secrets.domain.token import ROOT_POLICY
from ml_secrets.errors import Denied, Invalid, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.client import Client
    from ml_secrets.sensitive import Sensitive

LIFE: Final = 900
WRITING: Final = "--read-write"
_CHANGES: Final = frozenset({Capability.CREATE, Capability.UPDATE, Capability.PATCH, Capability.DELETE})
_OF_ITSELF: Final = OF_ITSELF | frozenset(
    {
        "cubbyhole/*",
        "identity/oidc/provider/+/authorize",
        "sys/control-group/request",
        "sys/renew",
        "sys/tools/hash",
        "sys/tools/hash/*",
        "sys/wrapping/lookup",
        "sys/wrapping/unwrap",
        "sys/wrapping/wrap",
    }
)
"""Where everybody may write, by the policy `default`: what they write there is about their own token, or nothing stays of it."""


class Login:
    """A client's login, for as long as this process lives. `owned`: the token is ours to revoke."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.owned = False
        self._process = os.getpid()
        self._lasting: Lasting | None = None
        atexit.register(self.end)

    def by_password(self, username: str, password: str | Sensitive, *, writes: bool = False) -> int:
        """Log in. Returns how many seconds the token lives unless it is renewed. Raises `Denied` where it could change something."""
        self.end()
        held = hide(password)
        del password  # what interrupts the login shows frames of ours
        self.client.login_userpass(username, held)
        self.client.token = self.client.token  # nobody who could log in once more, with all rights
        self.owned = True
        return self._held("auth/token/renew-self", {"increment": f"{LIFE}s"}, writes=writes)

    def by_token(self, token: str | Sensitive, *, writes: bool = False) -> int:
        """Use a child of this token; the token itself where it may have none. Otherwise the same."""
        self.end()
        held = hide(token)
        del token
        self.client.login_token(held)
        asked = {"display_name": "notebook", "ttl": f"{LIFE}s"}
        return self._held("auth/token/create", asked, writes=writes)

    def end(self) -> None:
        """Revoke the token, and be nobody. Not in a forked child: it is its parent's."""
        token = self.client.token
        if token is None or not self.owned or os.getpid() != self._process:
            return
        self.owned = False
        self.client.token = None
        revoke(self.client, token.reveal())

    def _held(self, path: str, asked: dict[str, Any], *, writes: bool) -> int:
        """Take what this request makes of the token; when anything fails, be nobody."""
        try:
            with suppress(Denied, Invalid):
                made = self.client.write(path, asked | ({} if writes else {"read_only": True}))
                self.client.token = hide((made.auth or {})["client_token"])
                self.owned = True
            told = self.client.run(look_up(self.client.session)).data
            if not writes and not told.get("read_only"):
                self._check(told)
        except BaseException:
            self.end()
            self.client.token = None
            raise
        self._last()
        return int(told.get("ttl") or 0)

    def _last(self) -> None:
        self.client.session.increment = LIFE if self.owned else 0
        if self._lasting is None:
            self._lasting = Lasting([self.client], lambda: None)
            self._lasting.start()

    def _check(self, told: Mapping[str, Any]) -> None:
        names = [name for field in ("policies", "identity_policies") for name in told.get(field) or ()]
        if told.get("external_namespace_policies"):
            raise _refusal("this token has policies of other namespaces")
        changed = sorted({path for name in names for path in what_changes(self._policy(name))})
        if changed:
            shown = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
            raise _refusal(f"this login may change {shown}, and the server made no read-only token of it")

    def _policy(self, name: str) -> Policy:
        """Its text is all that tells what a token may do: `resultant-acl` leaves out rules with a `+`, on OpenBao."""
        if name == ROOT_POLICY:
            return Policy(name, (Rule("*", (Capability.UPDATE,)),))
        try:
            text = self.client.read(f"sys/policies/acl/{name}").data["policy"]
            return parse_policy(name, text)
        except ImportError:
            raise _refusal("policies cannot be read without lark (pip install 'ml-secrets[agent]')") from None
        except MlSecretsError:
            raise _refusal(
                f"the server made no read-only token, and does not show the policy {name!r} to this one"
            ) from None


def what_changes(policy: Policy) -> list[str]:
    """The paths that it lets a token change beside what is the token's own."""
    return [
        rule.pattern
        for rule in policy.rules
        if not rule.denies and rule.pattern not in _OF_ITSELF and not _CHANGES.isdisjoint(rule.capabilities)
    ]


def _refusal(because: str) -> Denied:
    return Denied(
        f"{because}: a notebook is to read only",
        hint=f"log in as somebody who can only read and may see these policies' texts, or say that this notebook is to write: {WRITING}",
    )
