"""An engine that fails in every way an engine can, with a secret in its hands. Run as a program, it is our server with that engine in it.

The product knows nothing of it: the catalogue is added to before the command line starts.
"""

import sys

from ml_secrets import catalog
from ml_secrets.contract import Context, Engine, Response
from ml_secrets.sensitive import Sensitive

ENGINE = Engine("breaking", summary="Fails.")


class Odd:
    """Cannot be written as JSON, and shows its secret to whoever prints it."""

    def __init__(self, secret):
        self.secret = secret

    def __repr__(self):
        return f"Odd({self.secret})"


def _fail(how: str, secret: str) -> Response | None:
    if how == "value":
        raise ValueError(f"bad value {secret}")
    if how == "key":
        return Response({"v": {}[secret]})
    if how == "chain":
        try:
            raise OSError(secret)
        except OSError as error:
            raise RuntimeError(f"while doing {secret}") from error
    if how == "deep":
        return _fail(how, secret)
    if how == "memory":
        raise MemoryError(secret)
    if how == "assert":
        assert secret == "", secret
    if how == "decode":
        return Response({"v": secret.encode().decode("utf-16") + b"\xff".decode()})
    if how == "odd":
        return Response({"v": Odd(secret)})
    if how == "status":
        return Response({"v": 1}, status=int("9" + str(len(secret))))
    if how == "group":
        raise ExceptionGroup(secret, [ValueError(secret)])
    if how == "stop":
        raise StopIteration(secret)
    return Response({"v": "fine"})


def _declare():
    def run(ctx: Context, how: str, secret: Sensitive | None = None) -> Response | None:
        """Fail."""
        return _fail(how, secret.reveal() if secret else "")

    def slow(ctx: Context, how: str, secret: Sensitive | None = None) -> Response | None:
        """Fail slowly."""
        text = secret.reveal() if secret else ""
        return Response(record=lambda _: _fail(how, text))

    def exists(ctx: Context, captures: dict[str, str]) -> bool:
        raise ValueError(repr(ctx.request))

    for declare in (ENGINE.read, ENGINE.write, ENGINE.patch, ENGINE.delete, ENGINE.list):
        declare("fail/{how}")(run)
    ENGINE.write("slow/{how}", slow=True)(slow)
    ENGINE.write("exists/{how}", exists=exists)(run)
    ENGINE.write("public/{how}", public=True)(run)


WAYS = ("value", "key", "chain", "deep", "memory", "assert", "decode", "odd", "status", "group", "stop")
_declare()

if __name__ == "__main__":
    from ml_secrets.cli.main import main

    sys.modules["breaking"] = sys.modules["__main__"]
    catalog.ENGINES["breaking"] = "breaking:ENGINE"
    sys.argv[0] = "ml-secrets"
    main()
