"""Log in with a role id and a secret id: for machines.

`state` is roles and secret ids as stored; `roles`, `role_fields` and `secret_ids` administer them; `login` is the login.
"""

from ml_secrets.auth.approle import login, role_fields, roles, secret_ids
from ml_secrets.auth.approle.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = (login, role_fields, roles, secret_ids)
"""What this method is made of."""
