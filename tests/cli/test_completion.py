"""What a shell is offered after some words, and what a real bash makes of it."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from session import run

from ml_secrets.cli.bash import Typed, quoted, read
from ml_secrets.cli.main import CATALOG

BREAKS = " \t\n\"'@><=;|&(:"
"""bash's own."""


def completions(line, **environment):
    """What bash is offered at the end of a line."""
    asked = {"COMP_LINE": line, "COMP_WORDBREAKS": BREAKS, "_ML_SECRETS_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "ml_secrets.cli"],
        env={**os.environ, **asked, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == ""
    return [offer.partition(",")[2] for offer in done.stdout.splitlines() if offer]


def test_kv_paths_are_completed_from_the_server(logged_in):
    """Folder by folder, in the default mount and in a named one."""
    run(["kv", "put", "complete/one", "value=fake"])
    run(["kv", "put", "complete/other", "value=fake"])
    run(["kv", "put", "completely/other", "value=fake"])
    assert {"complete/", "completely/"} <= set(completions("ml-secrets kv get compl"))
    assert completions("ml-secrets kv get completely") == ["completely/other"]
    assert completions("ml-secrets kv get complete/o") == ["complete/one", "complete/other"]
    assert completions("ml-secrets kv get secret/complete/on") == ["secret/complete/one"]
    for mount in ("--mount secret", "--mount=secret", "-mount=secret"):
        assert completions(f"ml-secrets kv get {mount} complete/on") == ["complete/one"]


def test_references_are_completed_from_the_server(logged_in):
    """After NAME= the scheme, then KV mounts, then names as a reference writes them; nothing where there is no name yet."""
    for name in "refer/one", "refer/other", "refer/to/my key":
        run(["kv", "put", name, "value=fake"])
    line = "ml-secrets fetch --file DB_FILE="
    assert completions(line) == completions(f"{line}se") == ["secret://"]
    assert "//secret/" in completions(f"{line}secret://")
    assert not any("sys" in offer or "cubbyhole" in offer for offer in completions(f"{line}secret://"))
    assert completions(f"{line}secret://secret/refer/o") == ["//secret/refer/one", "//secret/refer/other"]
    assert completions(f"{line}secret://secret/refer/t") == ["//secret/refer/to/my%20key"]
    assert completions(f"{line}secret://secret/refer/to/my%20") == ["//secret/refer/to/my%20key"]
    assert completions("ml-secrets run --env DB=") == ["secret://"]
    for other in ("ml-secrets fetch --file DB", f"{line}other", f"{line}secret://none/x"):
        assert completions(other) == []


def test_a_server_that_does_not_answer_is_not_missed(at_home):
    """Completion without a server offers nothing, at once and without a word; commands are offered all the same."""
    nowhere = {"ML_SECRETS_ADDR": "http://127.0.0.1:9"}
    assert completions("ml-secrets kv get x", **nowhere) == []
    assert completions("ml-secrets ver", **nowhere) == ["version"]
    assert completions("ml-secrets kv get --fo", **nowhere) == ["--format"]
    assert completions("ml-secrets kv get -format=js", **nowhere) == ["json"]
    assert completions("ml-secrets credential docker er", **nowhere) == ["erase"]
    assert completions("ml-secrets credential git er", **nowhere) == ["erase"]
    assert set(CATALOG) <= set(completions("ml-secrets "))


@contextlib.contextmanager
def bash(environment):
    """A bash with a person before it; gives a function that types, and tells what is shown until bash is ready for more."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PS1": "ready> ", "TERM": "dumb", "HISTFILE": "", **environment},
        start_new_session=True,
    )
    os.close(theirs)

    def typed(text):
        os.write(ours, text.encode())
        shown, deadline = b"", time.monotonic() + 20
        while not shown.endswith(b"ready> ") and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 1 << 16)
        return shown.decode(errors="replace").replace("\r", "")

    try:
        assert typed("").endswith("ready> ")
        yield typed
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_real_bash_completes_any_name(at_home, dev_server, monkeypatch):
    """Names with spaces, quotes, colons, signs of equality and stars arrive as one argument, inside quotes and without; so do those after --mount=."""
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    names = ["bash/my key", "bash/it's*", "bash/a:b", "bash/x=y@z", "bash/$HOME", "bash/ünï"]
    for name in names:
        assert run(["kv", "put", name, f"value=fake-{name}"]).code == 0
    get = "ml-secrets kv get --field value"
    typed_and_meant = [
        ("bash/my", 0),
        ('"bash/my', 0),
        ("'bash/my", 0),
        ("bash/my\\ k", 0),
        ("bash/it", 1),
        ("bash/a:", 2),
        ("bash/x=", 3),
        ("bash/x=y@", 3),
        ('"bash/\\$', 4),
        ("bash/ü", 5),
        ("-mount=secret bash/my", 0),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with bash({"PATH": path, "LC_ALL": "C.UTF-8"}) as typed:
        typed('eval "$(ml-secrets completion bash)"\n')
        assert "-F _ml_secrets_completion ml-secrets" in typed("complete -p ml-secrets\n")
        for text, meant in typed_and_meant:
            shown = typed(f"{get} {text}\t\n")
            assert f"\nfake-{names[meant]}\n" in shown, (text, shown)


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("ml-secrets ", Typed(["ml-secrets", ""], "", 0)),
        ("ml-secrets  kv\tge", Typed(["ml-secrets", "kv", "ge"], "", 0)),
        ("a b\\ c", Typed(["a", "b c"], "", 0)),
        ('a b"c \\" d', Typed(["a", 'bc " d'], '"', 1)),
        ("a 'b \\", Typed(["a", "b \\"], "'", 0)),
        ("a '' ", Typed(["a", "", ""], "", 0)),
        ("a b:c=d", Typed(["a", "b:c=d"], "", 4)),
        ("a b@c", Typed(["a", "b@c"], "", 1)),
        ("a b\\:c", Typed(["a", "b:c"], "", 0)),
        ("a 'b:c' d", Typed(["a", "b:c", "d"], "", 0)),
        ("a b\\", Typed(["a", "b"], "", 0)),
    ],
)
def test_a_line_is_read_by_the_rules_of_the_shell(line, typed):
    """Its words, the quote that is open, and what bash leaves alone of the last word."""
    assert read(line, BREAKS) == typed


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize(
    "name", ["plain/name", "two words", "it's", 'say "hi"', "$(touch x)`x`", "a;b&c|d", "~", "#1", "\\n"]
)
def test_an_offer_is_one_word_to_a_shell(name, quote):
    """Whatever is in its name: nothing of it is run, and it arrives whole."""
    script = f"printf '<%s>' {quote}{quoted(name, quote)}{quote}"
    assert (
        subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=True).stdout
        == f"<{name}>"
    )
