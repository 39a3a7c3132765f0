"""Tokens themselves: make, look up, renew, revoke; and roles that say what tokens may be made.

`state` is roles as stored, `policies` the rules for a child's policies, `create` makes tokens, `tokens` does the rest.
"""

from ml_secrets.auth.token import create, roles, tokens
from ml_secrets.auth.token.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = (create, roles, tokens)
"""What this method is made of."""
