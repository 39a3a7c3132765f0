"""Small tools: random bytes and hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated

from ml_secrets.contract import Context, Help, Response
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

Format = Annotated[str, Help("hex or base64.")]
_ALGORITHMS = {
    f"sha{kind}{size}": f"sha{kind.replace('-', '_')}{size}"
    for kind in ("2-", "3-")
    for size in (224, 256, 384, 512)
}


@ENGINE.write("tools/random", changes=False, plain=("source", "format"))
@ENGINE.write("tools/random/{url_bytes}", changes=False, plain=("source", "format"))
@ENGINE.write("tools/random/{source}/{url_bytes}", changes=False, plain=("source", "format"))
def random(
    ctx: Context,
    url_bytes: str = "",
    source: str = "",
    bytes_: Annotated[int, Help("How many.", name="bytes")] = 32,
    format: Format = "base64",
) -> Response:
    """Give random bytes."""
    if source not in ("", "platform", "all", "seal"):
        raise Invalid(f"unsupported entropy source {source!r}")
    if url_bytes and not (url_bytes.isascii() and url_bytes.isdigit()):
        raise Invalid("the number of bytes must be a whole number")
    count = int(url_bytes) if url_bytes else bytes_
    if not 1 <= count <= 131_072:
        raise Invalid('"bytes" should be between 1 and 131072')
    return Response({"random_bytes": _encode(ctx.random(count), format)})


@ENGINE.write("tools/hash", changes=False, plain=("algorithm", "format"))
@ENGINE.write("tools/hash/{url_algorithm}", changes=False, plain=("algorithm", "format"))
def hash_(
    ctx: Context,  # noqa: ARG001 - every operation is given its context
    input_: Annotated[Sensitive, Help("Base64 of the input.", name="input")],
    url_algorithm: str = "",
    algorithm: str = "sha2-256",
    format: Format = "hex",
) -> Response:
    """Hash bytes."""
    name = url_algorithm or algorithm
    if name not in _ALGORITHMS:
        raise Invalid(f"unsupported algorithm {name}", hint=f"one of {', '.join(sorted(_ALGORITHMS))}")
    try:
        content = base64.b64decode(input_.reveal(), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("unable to decode input as base64") from None
    digest = hashlib.new(_ALGORITHMS[name].replace("sha2_", "sha"), content).digest()
    return Response({"sum": _encode(digest, format)})


def _encode(content: bytes, form: str) -> str:
    if form == "hex":
        return content.hex()
    if form == "base64":
        return base64.b64encode(content).decode()
    raise Invalid(f'unsupported encoding format "{form}"; must be "hex" or "base64"')
