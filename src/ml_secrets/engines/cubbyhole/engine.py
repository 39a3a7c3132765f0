"""The cubbyhole's table of operations, which the file beside this one fills."""

from ml_secrets.contract import Engine

ENGINE = Engine("cubbyhole", summary="A token's own secrets, gone with the token.")
