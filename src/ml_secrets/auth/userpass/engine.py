"""The method's table of operations, which the files beside this one fill."""

from ml_secrets.contract import Engine

ENGINE = Engine("userpass", summary="Log in with a name and a password.")
