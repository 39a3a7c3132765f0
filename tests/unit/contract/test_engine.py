"""Declaring operations, matching paths, binding arguments."""

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.contract import Context, Engine, Help, Request, Response, Seconds, Strings, Verb
from ml_secrets.contract.bind import bind, unrecognised
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive


def engine_of(*templates, verb="read"):
    """An engine whose operations answer with their own template."""
    engine = Engine("sample", summary="A sample.")
    for template in templates:
        declare(engine, verb, template)
    return engine


def declare(engine, verb, template, **options):
    names = [part[1:].split("}")[0].split(":")[0] for part in template.split("/") if part.startswith("{")]
    scope = {"Context": Context, "Response": Response}
    parameters = ", ".join(["ctx: Context", *(f"{name}: str" for name in names)])
    exec(
        f"def run({parameters}) -> Response:\n    '''Say which.'''\n    return Response({{'at': {template!r}}})\n",
        scope,
    )
    getattr(engine, verb)(template, **options)(scope["run"])


def matched(engine, path, verb=Verb.READ):
    operation, captures, known = engine.match(path, verb)
    return (None if operation is None else operation.template), captures, known


TEMPLATES = ["", "keys", "keys/{name}", "keys/config", "keys/{name}/rotate", "data/{path:path}", "data/own", "{first}/x",
             "mounts/{path:path}", "mounts/{path:path}/tune", "{path:path}"]  # fmt: skip
MATCHES = [
    ("", "", {}),
    ("keys", "keys", {}),
    ("keys/a", "keys/{name}", {"name": "a"}),
    ("keys/config", "keys/config", {}),
    ("keys/a/rotate", "keys/{name}/rotate", {"name": "a"}),
    ("keys/config/rotate", "keys/{name}/rotate", {"name": "config"}),
    ("keys/a/b", "{path:path}", {"path": "keys/a/b"}),
    ("data/own", "data/own", {}),
    ("data/a", "data/{path:path}", {"path": "a"}),
    ("data/own/b/c", "data/{path:path}", {"path": "own/b/c"}),
    ("data", "{path:path}", {"path": "data"}),
    ("data/x", "data/{path:path}", {"path": "x"}),
    ("other/x", "{first}/x", {"first": "other"}),
    ("mounts/a/b", "mounts/{path:path}", {"path": "a/b"}),
    ("mounts/a/b/tune", "mounts/{path:path}/tune", {"path": "a/b"}),
    ("mounts/tune", "mounts/{path:path}", {"path": "tune"}),
    ("mounts/tune/tune", "mounts/{path:path}/tune", {"path": "tune"}),
    ("mounts/tune/tune/x", "mounts/{path:path}", {"path": "tune/tune/x"}),
    ("z", "{path:path}", {"path": "z"}),
]


@pytest.mark.parametrize(("path", "template", "captures"), MATCHES)
@pytest.mark.parametrize("templates", [TEMPLATES, TEMPLATES[::-1]], ids=["in order", "reversed"])
def test_literal_wins_over_name_wins_over_path(templates, path, template, captures):
    """Whatever the order of declaration."""
    assert matched(engine_of(*templates), path) == (template, captures, True)


def test_a_path_under_another_verb_is_known():
    """405 is told from 404, and `verbs` says what would have worked."""
    engine = engine_of("keys/{name}")
    declare(engine, "delete", "keys/{name}")
    declare(engine, "write", "keys/{name}/rotate")
    assert matched(engine, "keys/a", Verb.WRITE) == (None, {}, True)
    assert matched(engine, "nothing/a", Verb.WRITE) == (None, {}, False)
    assert list(engine.verbs("keys/a")) == [Verb.READ, Verb.DELETE]


def test_each_verb_finds_its_own_template():
    """A literal declared for one verb does not hide a `{name}` declared for another."""
    engine = engine_of("keys/config")
    declare(engine, "write", "keys/{name}")
    assert matched(engine, "keys/config", Verb.WRITE) == ("keys/{name}", {"name": "config"}, True)
    assert matched(engine, "keys/config")[0] == "keys/config"


@given(st.lists(st.sampled_from(["a", "b", "tune", "keys"]), min_size=1, max_size=6).map("/".join))
def test_a_path_argument_holds_what_was_asked_for(path):
    """Filling the captures into the template gives the path back: nothing is lost or moved."""
    template, captures, _ = matched(engine_of(*TEMPLATES), path)
    for name, text in captures.items():
        template = template.replace(f"{{{name}}}", text).replace(f"{{{name}:path}}", text)
    assert template == path


def test_the_root_of_a_mount_is_a_template_of_its_own():
    """`{path:path}` takes at least one segment."""
    assert matched(engine_of("{path:path}", verb="list"), "", Verb.LIST) == (None, {}, False)
    assert matched(engine_of("", verb="list"), "", Verb.LIST)[0] == ""


# ── declarations that fail at import ────────────────────────────────────────────────────────────────────────────────


def nameless(ctx: Context, name: str) -> None:
    """Take a name."""


def undocumented(ctx: Context) -> None: ...


def untyped(ctx: Context, name) -> None:
    """Take something."""


def unreadable(ctx: Context, value: bytes) -> None:
    """Take bytes."""


def twins(ctx: Context, a: Annotated[str, Help("", name="x")] = "", x: str = "") -> None:
    """Take the same twice."""


def plain(ctx: Context) -> None:
    """Do it."""


@pytest.mark.parametrize(
    ("verb", "template", "run", "options", "words"),
    [
        ("read", "x", undocumented, {}, "docstring"),
        ("read", "x/{other}", nameless, {}, "do not match"),
        ("read", "x/{name}/{name}", nameless, {}, "do not match"),
        ("read", "x", untyped, {}, "needs a type"),
        ("read", "x", unreadable, {}, "no reader"),
        ("read", "x", twins, {}, "same name on the wire"),
        ("read", "/x", plain, {}, "plain word"),
        ("read", "x/", plain, {}, "plain word"),
        ("read", "x//y", plain, {}, "plain word"),
        ("read", "x/pre{name}", nameless, {}, "plain word"),
        ("read", "x/{name", nameless, {}, "plain word"),
        ("read", "x/{name:rest}", nameless, {}, "plain word"),
        ("read", "x", plain, {"folded": ["name"]}, "folded"),
        ("read", "x", plain, {"public": True, "sudo": True}, "exclude"),
        ("read", "x", plain, {"exists": lambda ctx, captures: True}, "create or an update"),
        ("read", "x", plain, {"plainn": ["a"]}, "plainn"),
    ],
)
def test_a_bad_declaration_fails_at_import(verb, template, run, options, words):
    """TypeError that says what is wrong, before any request is served."""
    with pytest.raises(TypeError, match=words):
        getattr(Engine("sample", summary=""), verb)(template, **options)(run)


def test_nothing_is_both_short_and_slow():
    """A change that may be made on the event loop burns no CPU there."""
    with pytest.raises(TypeError, match="short and slow exclude each other"):
        declare(Engine("sample", summary="A sample."), "write", "x", short=True, slow=True)


def test_nothing_is_declared_twice():
    """The same verb and shape, even under another argument's name."""
    engine = engine_of("x/{name}")
    with pytest.raises(TypeError, match="declared twice"):
        declare(engine, "read", "x/{path}")


def test_what_a_declaration_says_is_kept():
    """Docstring, fields, and the defaults that follow from the verb."""
    engine = Engine("sample", summary="A sample.")

    @engine.write("x/{name}", plain=["ttl"], slow=True, folded=["name"])
    def write(ctx: Context, name: str, secret: Sensitive, ttl: Seconds | None = None) -> None:
        """Write it.

        And more of it.
        """

    (operation,) = engine.operations
    assert operation.run is write
    assert (operation.summary, operation.details) == ("Write it.", "And more of it.")
    assert [(f.name, f.kind, f.required, f.in_path, f.sensitive) for f in operation.fields] == [
        ("name", "string", True, True, False),
        ("secret", "string", True, False, True),
        ("ttl", "duration", False, False, False),
    ]
    assert not operation.changes
    assert operation.plain == {"ttl"}
    declare(engine, "delete", "x/{name}")
    declare(engine, "read", "x/{name}")
    assert [o.changes for o in engine.operations] == [False, True, False]


# ── binding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def bound(run, template="x", captures=None, **fields):
    engine = Engine("sample", summary="")
    engine.write(template)(run)
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    request = Request(id="r", verb=Verb.WRITE, path="x", fields=raw)
    return bind(engine.operations[0], captures or {}, request), unrecognised(engine.operations[0], request)


def sample(
    ctx: Context,
    secret: Sensitive,
    type_: Annotated[str, Help("", name="type")] = "kv",
    tags: Strings | None = None,
    ttl: Seconds | None = None,
) -> None:
    """Take several."""


def test_arguments_come_by_their_names_on_the_wire():
    """Defaults fill in what is absent or null; what is not declared is told by name."""
    arguments, unknown = bound(sample, secret="s", type="pki", tags="a,b", ttl=None, zeta=1, alpha=2)
    assert arguments.pop("secret").reveal() == "s"
    assert arguments == {"type_": "pki", "tags": ("a", "b"), "ttl": None}
    assert unknown == ["alpha", "zeta"]
    arguments, unknown = bound(sample, secret="s")
    assert (arguments["type_"], arguments["tags"], unknown) == ("kv", None, [])


@pytest.mark.parametrize("fields", [{}, {"secret": None}, {"type": "kv"}])
def test_a_required_field_must_be_there(fields):
    """Absent or null: the error names it."""
    with pytest.raises(Invalid, match="missing secret"):
        bound(sample, **fields)


def test_pieces_of_the_path_do_not_come_from_the_body():
    """A field of the same name in the body changes nothing."""

    def run(ctx: Context, name: str) -> None:
        """Take a name."""

    assert bound(run, "x/{name}", {"name": "from-path"}, name="from-body")[0] == {"name": "from-path"}


def test_a_number_in_the_path_is_read_strictly():
    """`random/{bytes}`: ASCII digits or Invalid."""

    def run(ctx: Context, count: int) -> None:
        """Take a number."""

    assert bound(run, "x/{count}", {"count": "32"})[0] == {"count": 32}
    for text in ("\uff13\uff12", "1_0", "ten", ""):
        with pytest.raises(Invalid, match="whole number"):
            bound(run, "x/{count}", {"count": text})
