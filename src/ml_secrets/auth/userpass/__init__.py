"""Log in with a name and a password.

`state` is a user as stored, `users` creates and changes them, `login` is the login.
"""

from ml_secrets.auth.userpass import login, users
from ml_secrets.auth.userpass.engine import ENGINE

__all__ = ["ENGINE"]

PARTS = (login, users)
"""What this method is made of."""
