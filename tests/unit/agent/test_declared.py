"""Declarations: ml-secrets.toml, pyproject.toml, and who may have written them."""

import os
import signal

import pytest

from ml_secrets import Denied, Invalid
from ml_secrets.agent.declared import declared, env_file, fill_flags
from ml_secrets.agent.job import Change, Job
from ml_secrets.agent.reference import Reference

WHOLE = """
env-file = ["a.env", "b.env"]

[files]
DB_PASSWORD_FILE = "secret://team-a/db#password"

[files.TRAIN_CONFIG]
fill = "conf/train.yaml"
mode = "0440"
on-change = "HUP"

[files.BUNDLE]
values = { user = "secret://team-a/db#user", host = "db.internal" }
format = "dotenv"
name = "bundle.env"

[env]
WANDB_API_KEY = "secret://team-a/wandb#key"
B = "secret://team-a/b#b"

[stdin]
value = "secret://team-a/db"
format = "yaml"
"""


@pytest.fixture
def project(tmp_path):
    """A folder to declare in; `write(name, text)`."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write("a.env", "A=plain\nB=plain\nC=secret://team-a/c#c\n")
    write("b.env", "C=secret://team-b/c#c\n")
    write("conf/train.yaml", "key: secret://openai/key#value\n")
    tmp_path.write = write
    return tmp_path


@pytest.fixture
def tmp_path(tmp_path):
    """With room for a helper on it."""

    class Room(type(tmp_path)):
        __slots__ = ("write",)

    return Room(tmp_path)


def test_a_whole_declaration_is_read(project):
    """Files, variables and standard input; later variables take the place of earlier ones; paths are the file's own."""
    project.write("ml-secrets.toml", WHOLE)
    found = declared(project / "deep" / "er")
    assert {one.variable: one.name for one in found.of("file")} == {
        "DB_PASSWORD_FILE": "db_password",
        "TRAIN_CONFIG": "train.yaml",
        "BUNDLE": "bundle.env",
    }
    config = next(one for one in found.of("file") if one.variable == "TRAIN_CONFIG")
    assert (config.mode, config.on_change) == (0o440, Change(signal=signal.SIGHUP))
    refs = {
        one.variable: [str(reference) for reference in one.content.references] for one in found.deliveries
    }
    assert refs == {
        "A": [],
        "B": ["secret://team-a/b#b"],
        "C": ["secret://team-b/c#c"],
        "DB_PASSWORD_FILE": ["secret://team-a/db#password"],
        "TRAIN_CONFIG": ["secret://openai/key#value"],
        "BUNDLE": ["secret://team-a/db#user"],
        "WANDB_API_KEY": ["secret://team-a/wandb#key"],
        "": ["secret://team-a/db"],
    }


def test_the_nearest_declaration_counts(project):
    """Its own file before pyproject.toml, the folder before those above it; a pyproject.toml without a word of us is passed over."""
    project.write("pyproject.toml", '[tool.ml-secrets.files]\nA = "secret://m/top#a"')
    project.write("x/pyproject.toml", '[tool.other]\nfor = "ml-secrets"')
    project.write("x/y/pyproject.toml", "this is = no [TOML")
    assert declared(project / "x" / "y").references == (Reference("m/top", ("a",)),)
    project.write("x/ml-secrets.toml", '[files]\nA = "secret://m/x#a"')
    assert declared(project / "x" / "y").references == (Reference("m/x", ("a",)),)
    assert declared(project / "x", project / "pyproject.toml").references == (Reference("m/top", ("a",)),)
    with pytest.raises(Invalid, match="has no"):
        declared(project, project / "x" / "pyproject.toml")


def test_nothing_declared_is_an_empty_job(project):
    """No file is no error here."""
    assert declared(project).deliveries == Job().deliveries == ()


def test_a_file_that_another_user_may_have_written_is_refused_unless_it_is_named(project):
    """It says what is run on a change."""
    path = project.write("ml-secrets.toml", '[files]\nA = "secret://m/p#a"')
    path.chmod(0o646)
    with pytest.raises(Denied, match="another user may have written it"):
        declared(project / "sub")
    assert declared(project, path).references
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        with pytest.raises(Denied, match="another user may have written it"):
            declared(project)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("files = 1", "files is no table"),
        ("other = 1", "unknown setting 'other'"),
        ('together = "yes"', "together is neither true nor false"),
        (
            'together = true\n[files]\nA = {value = "secret://m/p", owner = "0:0"}\nB = "secret://m/p"',
            "files that are exchanged together have one owner",
        ),
        ('[files]\nA = "fake-value"', "files.A: there is no reference"),
        ('[env]\nA = "fake-value"', "env.A: there is no reference"),
        ("[files]\nA = 1", "files.A is no table"),
        ('[files]\n"a-b" = "secret://m/p"', "'a-b' is no name for a variable"),
        ('[files]\nA = "secret://m"', "files.A: .*names a mount"),
        ("[files.A]\nvalue = 1", "files.A.value is no text"),
        ("[files.A]", "it takes one of value, values, fill"),
        ('[files.A]\nvalue = "secret://m/p"\nfill = "a.env"', "it takes one of"),
        ('[files.A]\nvalue = "secret://m/p"\nmodee = "0400"', "unknown setting 'modee'"),
        ('[files.A]\nvalue = "secret://m/p"\nmode = "0444"', "the mode is not one for a secret"),
        ('[files.A]\nvalue = "secret://m/p"\nmode = 400', "files.A.mode is no text"),
        ('[files.A]\nvalue = "secret://m/p"\nname = "../x"', "is no name for one file"),
        ('[files.A]\nvalue = "secret://m/p"\nowner = "no-such-user"', "no such user"),
        ('[files.A]\nvalue = "secret://m/p"\non-change = "now"', "nothing to do on a change"),
        ('[files.A]\nvalue = "secret://m/p"\nformat = "xml"', "there is no such format"),
        ('[files.A]\nvalue = "x{{ secret://m/p }}"\nformat = "json"', "only a secret has fields"),
        ('[files.A]\nvalues = { a = "secret://m/p" }\nformat = "raw"', "several values need a format"),
        ('[files.A]\nvalues = { "a-b" = "secret://m/p" }\nformat = "dotenv"', "no name in a .env file"),
        ('[files.A]\nvalues = { a = "fake-value" }', "no reference among its values"),
        ("[files.A]\nvalues = {}", "no reference among its values"),
        ("[files.A]\nvalues = { a = 1 }", "files.A.values.a is no text"),
        ('[files.A]\nfill = "none.yaml"', "cannot read .*none.yaml"),
        ('[files.A]\nfill = "odd"', "what kind of file"),
        ('[files.A]\nfill = "plain.json"', "has no reference in it"),
        ('[env.A]\nvalue = "secret://m/p"\nmode = "0400"', "unknown setting 'mode'"),
        ('[files]\nA = "secret://m/p"\n[env]\nA = "secret://m/p"', "under both files and env"),
        ('[files]\nA = "secret://m/p"\nA_FILE = "secret://m/p"', "two files are to be named a"),
        ("env-file = 1", "env-file is no file"),
        ("env-file = [1]", "env-file is no text"),
        ('env-file = "none.env"', "cannot read .*none.env"),
        ('[files]\nA = "fake-value', r"not valid TOML \(at end"),
        ("a = fake-value", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(project, text, told):
    """The file, the setting and what it takes."""
    project.write("odd", "x")
    project.write("plain.json", '"fake-value"')
    project.write("ml-secrets.toml", text)
    with pytest.raises(Invalid, match=told) as refused:
        declared(project)
    assert str(project) in str(refused.value)
    assert "fake-value" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(project):
    """Without its bytes."""
    (project / "ml-secrets.toml").write_bytes(b"a = '\xff\xfefake'")
    with pytest.raises(Invalid, match="not UTF-8 text") as refused:
        declared(project)
    assert "fake" not in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_a_file(project):
    """Some editors write it first."""
    project.write("ml-secrets.toml", '\ufeff[files]\nA = "secret://m/p#a"')
    project.write("c.env", "\ufeffA=secret://m/p#a\n")
    assert declared(project).references == (Reference("m/p", ("a",)),)
    assert [one.variable for one in env_file(project / "c.env")] == ["A"]


def test_files_to_fill_are_named_by_flags(project):
    """`--fill NAME=FILE`; the copy has the file's own name."""
    (one,) = fill_flags([f"CONF={project}/conf/train.yaml"])
    assert (one.way, one.variable, one.name) == ("file", "CONF", "train.yaml")
    for flag in ("CONF", "CONF=", "=x", "a-b=x.yaml"):
        with pytest.raises(Invalid):
            fill_flags([flag])
