"""Operations that share a set of fields."""

from typing import Annotated, Any

from ml_secrets.contract import Context, Engine, Help, Response
from ml_secrets.contract.expand import expand

SIZES = expand("sizes", {"width": Annotated[int, Help("How wide.")], "height": int}, sorted)


def test_an_operation_has_the_shared_fields_as_its_own():
    """They are declared in the parameter's place, with types and help, and none has to be sent."""
    engine = Engine("boxes", summary="Boxes.")

    @engine.write("{name}")
    @SIZES
    def write(ctx: Context, name: str, sizes: Any, colour: str = "red") -> Response:
        """Make a box."""
        return Response({"name": name, "sizes": sizes, "colour": colour})

    operation = engine.operations[0]
    assert [(f.name, f.kind, f.required, f.help) for f in operation.fields] == [
        ("name", "string", True, ""),
        ("colour", "string", False, ""),
        ("width", "integer", False, "How wide."),
        ("height", "integer", False, ""),
    ]
    assert operation.summary == "Make a box."
    answer = operation.run(None, name="a", colour="blue", width=2, height=None)
    assert answer.data == {"name": "a", "sizes": ["height", "width"], "colour": "blue"}
