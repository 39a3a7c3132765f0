"""Which operations a policy's pattern can be about."""

import pytest

from ml_secrets.contract import Context, Engine, Response
from ml_secrets.contract.readings.rules import asked_for
from ml_secrets.domain.pattern import compile_pattern

BOXES = Engine("boxes", summary="Boxes.")


@BOXES.read("box/{name}")
def read(ctx: Context, name: str) -> Response:
    """Read."""
    return Response({"name": name})


@BOXES.write("box/{name}", exists=lambda *_: True)
def write(ctx: Context, name: str) -> None:
    """Write."""


@BOXES.write("box/{name}/seal", sudo=True)
def seal(ctx: Context, name: str) -> None:
    """Seal."""


@BOXES.list("box")
def names(ctx: Context) -> Response:
    """List."""
    return Response({"keys": []})


@BOXES.delete("{path:path}/label/{name}")
def unlabel(ctx: Context, path: str, name: str) -> None:
    """Take a label off."""


ASKED = asked_for({"attic/": BOXES})


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        ("attic/box/a", {"read", "create", "update"}),
        ("attic/box/a/seal", {"update", "sudo"}),
        ("attic/+/a/seal", {"update", "sudo"}),
        ("attic/box", {"list"}),
        ("attic/box/", {"list"}),
        ("attic/bo*", {"read", "create", "update", "list", "sudo", "delete"}),
        ("attic/box/a/*", {"update", "sudo", "delete"}),
        ("attic/a/b/c/label/x", {"delete"}),
        ("attic/+/+/label/x", {"delete"}),
        ("attic/a/b/lab*", {"delete"}),
        ("attic/label/x", None),
        ("attic/box/a/b", None),
        ("attic/box/a/", None),
        ("attic/bx/a", None),
        ("attic", None),
        ("cellar/box/a", None),
        ("cellar/*", None),
        ("*", {"read", "create", "update", "list", "sudo", "delete"}),
        ("+/box/a", {"read", "create", "update"}),
    ],
)
def test_a_pattern_meets_the_operations_that_it_can_match(pattern, asked):
    """A name stands for one segment, a path for one or more; a folder is met with and without its slash."""
    assert ASKED(compile_pattern(pattern)) == asked
