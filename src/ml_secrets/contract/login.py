"""What an auth method says after it has recognised somebody: who they are and what token they are to get."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_secrets.domain.token import TokenParameters


@dataclass(slots=True)
class Login:
    """A recognised identity. The pipeline issues the token: auth methods never mint one themselves.

    `alias` is the name this method knows the caller by (user name, role id); `policies` come on top of those in
    `parameters`. `metadata` is shown in the token and the audit log, so nothing secret belongs there.
    """

    display_name: str
    alias: str
    parameters: TokenParameters
    policies: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
