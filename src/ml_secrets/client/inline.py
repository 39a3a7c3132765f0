"""A login inside each request (OpenBao's inline auth): the headers that carry it, in place of a token.

No token is made, so there is none to keep, renew or revoke: for a job that asks once and ends. Each request logs in, which
uses up what a login does (a use of a secret id), a request that is sent again, too.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from ml_secrets.client.encoding import raw_members

if TYPE_CHECKING:
    from ml_secrets.client.login import Login

FAILED: Final = "x-vault-inline-auth-failed"
"""Has an answer that refuses the login, and not the request."""


def headers_of(login: Login) -> dict[str, str]:
    """The login as headers. What it is made with is in there: keep the result out of frames that raise."""
    headers = {"X-Vault-Inline-Auth-Path": login.path}
    for name, value in raw_members(login.body).items():
        field = b'{"key":"%b","value":%b}' % (name.encode(), value)
        coded = base64.urlsafe_b64encode(field).rstrip(b"=").decode()
        headers[f"X-Vault-Inline-Auth-Parameter-{name}"] = coded
    return headers
