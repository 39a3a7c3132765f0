"""The front door: its catalog, its help, its speed, its errors."""

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ml_secrets.cli
from ml_secrets.cli.command import Front, Noun, two_dashes
from ml_secrets.cli.failures import explain
from ml_secrets.cli.main import CATALOG, front, main
from ml_secrets.errors import Denied, NotFound, Sealed, Unreachable

FOLDER = Path(ml_secrets.cli.__file__).parent


def commands(group=None, path=()):
    """Every command with its words."""
    group = group or front()
    with click.Context(group, info_name="ml-secrets") as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            yield (*path, name), command
            if isinstance(command, Noun):
                yield from commands(command, (*path, name))


EVERY = dict(commands())


@pytest.mark.parametrize("name", CATALOG)
def test_catalog_and_command_agree(name):
    """The summary that the front door shows is the command's own, and so is its name."""
    command = EVERY[(name,)]
    assert command.name == name
    assert command.help.split("\n\n")[0].replace("\n", " ") == CATALOG[name][1]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_explains_itself_with_an_example_that_parses(words, capsys):
    """Help has a summary, says what each option does, and its examples are command lines that exist."""
    command = EVERY[words]
    assert command.help
    assert command.example
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert main([*words, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "Example" in printed
    for line in command.example.splitlines():
        if "ml-secrets " in line:
            called = line.partition("ml-secrets ")[2].split()
            assert any(tuple(called[: len(known)]) == known for known in EVERY) or called[0].startswith(
                "-"
            ), line


def test_help_loads_neither_client_nor_server():
    """Help of the front door and of a command is free of httpx, rich, yaml, the client and the server wing."""
    program = (
        "import sys; from ml_secrets.cli.main import main\n"
        "main(['--help']); main(['kv', '--help']); main(['import', '--help']); main(['server', '--help']); main(['operator', 'restore', '--help'])\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    unwanted = (
        "httpx",
        "rich",
        "yaml",
        "dotenv",
        "msgspec",
        "ml_secrets.client",
        "ml_secrets.server",
        "ml_secrets.engines",
        "cryptography",
    )
    assert not [name for name in loaded if name.split(".")[0] in unwanted or name.startswith(unwanted)]


def test_modules_of_commands_import_no_library_at_the_top():
    """What is slow to import is imported where it is used."""
    slow = {"httpx", "rich", "yaml", "dotenv", "msgspec", "lark"}
    for path in FOLDER.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {name.split(".")[0] for name in names} & slow, path


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["-field=x", "a"], ["--field=x", "a"]),
        (["-format", "json"], ["--format", "json"]),
        (["-", "-h", "-n", "5"], ["-", "-h", "-n", "5"]),
        (["k=-abc", "--", "-abc"], ["k=-abc", "--", "-abc"]),
        (["-mount=a\nb"], ["--mount=a\nb"]),
    ],
)
def test_one_dash_does_for_two(given, meant):
    """Habits from Vault's CLI carry over; single letters, stdin and what follows -- stay."""
    assert two_dashes(given) == meant


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("x"), 2),
        (Denied("x"), 2),
        (Sealed("x"), 2),
        (Unreachable("x"), 2),
        (OSError(2, "no file", "f"), 1),
        (KeyboardInterrupt(), 1),
        (KeyError("fake-secret"), 1),
    ],
)
def test_every_error_has_a_text_and_a_code(error, code):
    """Server's errors end with 2, local ones with 1; no text shows what an unforeseen error holds."""
    text, found = explain(error, debug=True)
    assert found == code
    assert text
    assert "fake-secret" not in text
    assert "Traceback" not in text


def test_debug_tells_the_place_and_no_value():
    """--debug names class, file, line and function."""

    def fail(secret):
        raise ValueError(secret)

    with pytest.raises(ValueError, match="fake-secret") as caught:
        fail("fake-secret")
    text, _ = explain(caught.value, debug=True)
    assert "ValueError at " in text
    assert f"test_command.py:{caught.value.__traceback__.tb_next.tb_lineno} fail" in text
    assert "fake-secret" not in text


def test_an_error_text_cannot_steer_the_terminal():
    """What a server says is shown with its control characters escaped."""
    assert "\x1b" not in explain(NotFound("\x1b[2Jx", hint="\x1b]0;x\x07"))[0]


def test_without_arguments_the_help_is_shown(capsys):
    """On stderr, with exit code 1."""
    assert main([]) == 1
    assert "Commands:" in capsys.readouterr().err


def test_completion_offers_commands_without_importing_them(monkeypatch, capsys):
    """Names and options are completed from the catalog alone."""
    monkeypatch.setenv("COMP_LINE", "ml-secrets po")
    monkeypatch.setenv("COMP_WORDBREAKS", "=:")
    monkeypatch.setenv("_ML_SECRETS_COMPLETE", "bash_complete")
    for name in [name for name in sys.modules if name == "ml_secrets.cli.policy"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out == "plain,policy\n"
    assert "ml_secrets.cli.policy" not in sys.modules


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(shell, capsys):
    """Each shell gets its script."""
    assert main(["completion", shell]) == 0
    assert "_ML_SECRETS_COMPLETE" in capsys.readouterr().out


def test_the_demo_is_offered_only_where_it_is_installed():
    """The catalog has it when its module exists."""
    there = importlib.util.find_spec("ml_secrets.cli.demo") is not None
    command = front()
    assert isinstance(command, Front)
    assert ("demo" in command.catalog) == there


@pytest.mark.parametrize("flag", ["--version", "-version", "-v"])
def test_the_version_is_also_a_flag(flag, capsys):
    """As people know it from other programs."""
    assert main([flag]) == 0
    assert capsys.readouterr().out.startswith("ml-secrets ")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """An environment in which Python finds our modules compiled, as an installed package has them."""
    folder = tmp_path_factory.mktemp("compiled")
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


@pytest.mark.parametrize(
    "words",
    [["--help"], ["kv", "get", "--help"], *([name, "--help"] for name in front().catalog)],
    ids=" ".join,
)
def test_help_is_quick(words, compiled):
    """Each command's help, and so that of its verbs, costs less than 150 ms of processor time: it comes within that on a machine that is not busy."""
    program = str(Path(sys.executable).with_name("ml-secrets"))
    assert any(processor_seconds([program, *words], compiled) < 0.15 for _ in range(20))


def processor_seconds(command, environment):
    """Processor time of one run: unlike the time on the wall, other processes hardly change it."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [("fake\udcff", "utf-8", "not UTF-8 text"), ("fäke", "ascii", "PYTHONIOENCODING")],
)
def test_text_that_cannot_be_encoded_is_told_as_such(text, encoding, said):
    """Bytes of an argument that are no text, or an answer that the terminal cannot show: neither is repeated."""
    with pytest.raises(UnicodeEncodeError) as caught:
        text.encode(encoding)
    shown, code = explain(caught.value)
    assert (code, said in shown, text in shown) == (1, True, False)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_read_by_their_shells(shell, capsys):
    """Where the shell is installed it takes the script; in fish a comma in a name or in a help text cuts nothing off."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert 'string split ","' not in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=20)
