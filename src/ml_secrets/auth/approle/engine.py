"""The method's table of operations, which the files beside this one fill."""

from ml_secrets.contract import Engine

ENGINE = Engine("approle", summary="Log in with a role id and a secret id: for machines.")
