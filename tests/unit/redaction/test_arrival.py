"""Guards of tools come with the tool: before, after, and not at all; what is patched is taken back."""

import sys

import pytest

from ml_secrets.redaction.arrival import when_imported
from ml_secrets.redaction.patches import Patches


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A module on disk that nobody imported yet, and one inside it."""
    package = tmp_path / "some_tool_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("def send(text): return text\n")
    (package / "inner.py").write_text("from some_tool_of_tests import send\nloaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_tool_of_tests"
    for name in ("some_tool_of_tests", "some_tool_of_tests.inner"):
        sys.modules.pop(name, None)


def putting(name):
    """Put a guard into the tool's `send`; gives what was done."""
    done = []

    def put_on():
        patches = Patches()
        patches.around(sys.modules[name], "send", lambda original, text: original(text.upper()))
        done.append("on")
        return lambda: done.append("off") or patches.take_off()

    return put_on, done


def test_before_the_tool_is_imported(tool):
    """It stands as soon as the module is there, for a `from … import` too; afterwards nothing of ours is left in the way."""
    put_on, done = putting(tool)
    over = when_imported(tool, put_on)
    assert done == []
    import some_tool_of_tests
    from some_tool_of_tests.inner import loaded, send

    assert loaded
    assert (some_tool_of_tests.send("a"), send("a")) == ("A", "A")
    assert type(some_tool_of_tests.__loader__).__name__ == "SourceFileLoader"
    over()
    assert (some_tool_of_tests.send("a"), send("a")) == ("a", "a")
    assert done == ["on", "off"]


def test_after_it_was_imported(tool):
    """At once."""
    import some_tool_of_tests

    put_on, done = putting(tool)
    over = when_imported(tool, put_on)
    assert some_tool_of_tests.send("a") == "A"
    over()
    assert done == ["on", "off"]


def test_never(tool):
    """Taken off before the tool came: it comes as it is. A module that is not there is as missing as ever."""
    put_on, done = putting(tool)
    when_imported(tool, put_on)()
    import some_tool_of_tests

    assert some_tool_of_tests.send("a") == "a"
    over = when_imported("no_such_tool_of_tests", put_on)
    with pytest.raises(ModuleNotFoundError):
        import no_such_tool_of_tests  # noqa: F401
    over()
    assert done == []
    assert not [finder for finder in sys.meta_path if type(finder).__name__ == "Waiting"]


class Owner:
    """Somebody's class."""

    def plain(self, text):
        return text

    @staticmethod
    def static(text):
        return text

    @classmethod
    def of_class(cls, text):
        return cls.__name__ + text


def test_methods_of_each_kind():
    """Plain, static and of the class; inherited ones are patched where they are asked for, and vanish again."""

    class Child(Owner):
        pass

    patches = Patches()
    for owner in (Owner, Child):
        patches.around(owner, "plain", lambda original, it, text: original(it, text) + "!")
    patches.around(Owner, "static", lambda original, text: original(text) + "!")
    patches.around(Owner, "of_class", lambda original, cls, text: original(cls, text) + "!")
    assert (Owner().plain("a"), Child().plain("a")) == ("a!", "a!!")
    assert (Owner.static("a"), Owner.of_class("a"), Child.of_class("a")) == ("a!", "Ownera!", "Childa!")
    patches.take_off()
    assert (Owner().plain("a"), Child().plain("a"), Owner.static("a"), Owner.of_class("a")) == (
        "a",
        "a",
        "a",
        "Ownera",
    )
    assert "plain" not in vars(Child)


def test_what_somebody_wrapped_meanwhile_stays():
    """Ours is under it, and does nothing any more."""
    patches = Patches()
    patches.around(Owner, "plain", lambda original, it, text: original(it, text) + "!")
    ours = Owner.plain
    Owner.plain = lambda self, text: "<" + ours(self, text)
    try:
        assert Owner().plain("a") == "<a!"
        patches.take_off()
        assert Owner().plain("a") == "<a"
    finally:
        Owner.plain = ours.__wrapped__
