"""docs/explain/masking.md says what the code does."""

from pathlib import Path

from ml_secrets.detect import encodings, finders, rule

PAGE = (Path(__file__).parents[2] / "docs" / "explain" / "masking.md").read_text(encoding="utf-8")


def test_every_form_is_told():
    """The table of forms is the list of encodings, with their reasons, in order."""
    table = "".join(f"| {each.name} | {each.why} |\n" for each in encodings.ENCODINGS)
    assert f"| Form | Who writes it |\n|---|---|\n{table}\n" in PAGE


def test_limits_and_engines_are_told():
    """Lengths in the text are those of the code, and each engine has its line."""
    for told in (
        f"longer than {encodings.BLOCK:,} bytes",
        f"each line of {encodings.LINE} bytes",
        f"shorter than {finders.SHORTEST} bytes",
        f"shorter than {rule.SHORT} bytes, or with fewer than {rule.VARIETY} different bytes",
        f"| {', '.join(f'`{word}`' for word in ('true', 'false', 'null', 'none'))} in any case; a number of fewer than {rule.SHORT} characters",
        f"its first {finders.HEAD} bytes",
        f"{finders.HEAD} bytes of a form, or half of it if this is {rule.SHORT} bytes",
        *(f"| `{name}` |" for name in finders.ENGINES),
    ):
        assert told in PAGE
    assert {b"true", b"false", b"null", b"none"} == rule.SETTINGS
