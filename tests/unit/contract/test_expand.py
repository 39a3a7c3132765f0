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


def test_a_shared_field_may_have_a_default():
    """It is declared with the field, and help tells it; a field without one is None where it was not sent."""
    engine = Engine("boxes", summary="Boxes.")

    @engine.list("")
    @expand("page", {"limit": int, "after": str}, dict, {"limit": -1})
    def boxes(ctx: Context, page: Any) -> Response:
        """List boxes."""
        return Response(page)

    assert [(f.name, f.default) for f in engine.operations[0].fields] == [("limit", -1), ("after", None)]
