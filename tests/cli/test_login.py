"""Logging in and out, with a server, a terminal and the token file."""

import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from session import run

PASSWORD = "fake-password-for-ada"
PROGRAM = [sys.executable, "-m", "ml_secrets.cli"]


@pytest.fixture
def people(logged_in, monkeypatch):
    """A server with the user ada and the role ci; no token in the environment."""
    run(["auth", "enable", "userpass"])
    run(["auth", "enable", "approle"])
    assert run(["write", "auth/userpass/users/ada", "policies=default", "password=-"], PASSWORD).code == 0
    assert run(["write", "auth/approle/role/ci", "token_policies=default"]).code == 0
    role_id = run(["read", "--field", "role_id", "auth/approle/role/ci/role-id"]).stdout
    secret_id = run(["write", "-f", "--field", "secret_id", "auth/approle/role/ci/secret-id"]).stdout
    root = os.environ["ML_SECRETS_TOKEN"]
    monkeypatch.delenv("ML_SECRETS_TOKEN")
    return {"root": root, "role_id": role_id, "secret_id": secret_id}


def token_file():
    return Path(os.environ["ML_SECRETS_CONFIG_DIR"]) / "token"


def stored():
    return token_file().read_text()


def on_terminal(arguments, *answers):
    """Run the program with a real terminal; type the answers when it asks. Returns all that was shown, and its exit code."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*PROGRAM, *arguments])
    shown, waiting, deadline = b"", list(answers), time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([screen], [], [], 0.05)[0]:
            try:
                piece = os.read(screen, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        elif waiting and shown.rstrip(b"\r\n").endswith((b":", b": ", b"]:", b"]: ")):
            os.write(screen, waiting.pop(0).encode() + b"\n")
            shown += b"<typed>"
    os.close(screen)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_login_by_password_from_stdin_stores_a_token_only_its_owner_reads(people):
    """The password comes from stdin; the token lands in a 0600 file, is not printed, and works for the next command."""
    ran = run(["login", "--method", "userpass", "username=ada", "password=-"], PASSWORD + "\n")
    assert ran.code == 0, ran.stderr
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
    token = stored()
    assert token
    assert token not in ran.stdout + ran.stderr
    assert PASSWORD not in ran.stdout + ran.stderr
    assert run(["token", "lookup", "--field", "display_name"]).stdout.strip() == "userpass-ada"


def test_password_needs_no_argument_at_all(people):
    """Without a terminal a missing password is read from stdin."""
    assert run(["login", "-method=userpass", "username=ada"], PASSWORD).code == 0


def test_a_field_of_a_login_is_printed_and_the_token_stored_all_the_same(people):
    """As in Vault's CLI: --field chooses what is printed, --no-store what is stored."""
    ran = run(["login", "--method", "userpass", "--field", "token", "username=ada"], PASSWORD)
    assert ran.code == 0
    assert ran.stdout.strip() == stored()
    token_file().unlink()
    run(["login", "--method", "userpass", "--field", "token", "--no-store", "username=ada"], PASSWORD)
    assert not token_file().exists()


@pytest.mark.parametrize(
    "parameters", [["user=ada"], ["username=ada", "username=bob"], ["username=ada", "role_id=fake"]]
)
def test_a_parameter_that_a_login_does_not_take_is_refused(at_home, parameters):
    """It is not passed over; no server is asked, and no value is repeated."""
    ran = run(["login", "--method", "userpass", *parameters], PASSWORD)
    assert ran.code == 1
    assert "takes username=… and password=…, each once" in ran.stderr
    assert "ada" not in ran.stderr


def test_a_wrong_password_is_refused_and_not_repeated(people):
    """A refused login: exit code 2, no token file, and the password is nowhere in the output."""
    ran = run(["login", "--method", "userpass", "username=ada", "password=-"], "fake-wrong-password")
    assert ran.code == 2
    assert "fake-wrong-password" not in ran.stdout + ran.stderr
    assert not token_file().exists()


def test_login_by_role_prints_the_token_only_when_asked(people, monkeypatch):
    """--token-only prints the bare token and stores nothing."""
    ran = run(
        ["login", "--method", "approle", f"role_id={people['role_id']}", "secret_id=-", "--token-only"],
        people["secret_id"],
    )
    assert ran.code == 0, ran.stderr
    assert not token_file().exists()
    monkeypatch.setenv("ML_SECRETS_TOKEN", ran.stdout.strip())
    assert '"role_name": "ci"' in run(["token", "lookup", "--field", "meta"]).stdout


def test_login_by_token_checks_it_first(people):
    """A token that the server does not know is not stored; a known one is."""
    bad = run(["login"], "fake-token-nobody-knows")
    assert bad.code == 2
    assert "fake-token-nobody-knows" not in bad.stdout + bad.stderr
    assert not token_file().exists()
    good = run(["login", "-"], people["root"])
    assert good.code == 0
    assert stored() == people["root"]
    assert people["root"] not in good.stdout + good.stderr


def test_a_token_in_the_environment_is_pointed_out(people, monkeypatch):
    """A stored token that would never be used is worth a warning."""
    monkeypatch.setenv("VAULT_TOKEN", people["root"])
    ran = run(["login", "--method", "userpass", "username=ada"], PASSWORD)
    assert "warning: VAULT_TOKEN is set" in ran.stderr


def test_logout_revokes_the_stored_token_and_removes_the_file(people):
    """After a logout neither the file nor the token is left; a second logout is no error."""
    run(["login", "--method", "userpass", "username=ada"], PASSWORD)
    token = stored()
    assert run(["logout"]).code == 0
    assert not token_file().exists()
    run(["login"], people["root"])
    assert run(["token", "lookup", "-"], token).code == 2
    run(["logout", "--keep"])
    assert run(["logout"]).stdout == "There is no stored token\n"


def test_a_terminal_is_asked_without_echo(people):
    """On a terminal the password is asked for, and not shown while it is typed."""
    shown, code = on_terminal(["login", "--method", "userpass", "username=ada"], PASSWORD)
    assert code == 0, shown
    assert "Password:" in shown
    assert PASSWORD not in shown


def test_a_new_value_is_asked_for_twice(people, monkeypatch):
    """`key=?` asks twice, echoes nothing, and stores what was typed."""
    monkeypatch.setenv("ML_SECRETS_TOKEN", people["root"])
    shown, code = on_terminal(
        ["kv", "put", "--field", "version", "asked", "password=?"], "fake-typed", "fake-typed"
    )
    assert code == 0, shown
    assert "fake-typed" not in shown
    assert run(["kv", "get", "--field", "password", "asked"]).stdout.strip() == "fake-typed"


def test_what_cannot_be_undone_is_confirmed_on_a_terminal(people, monkeypatch):
    """A no leaves everything as it was, --yes does not ask."""
    monkeypatch.setenv("ML_SECRETS_TOKEN", people["root"])
    run(["kv", "put", "kept", "value=fake"])
    shown, code = on_terminal(["kv", "metadata", "delete", "kept"], "n")
    assert (code, "for good" in shown) == (1, True)
    assert run(["kv", "get", "--field", "value", "kept"]).code == 0
    _, code = on_terminal(["kv", "metadata", "delete", "--yes", "kept"])
    assert code == 0
    assert run(["kv", "get", "kept"]).code == 2


def test_progress_is_drawn_on_a_terminal_only(people, monkeypatch, tmp_path):
    """An import shows its progress on a terminal; without one it is silent but for its result."""
    monkeypatch.setenv("ML_SECRETS_TOKEN", people["root"])
    file = tmp_path / "tree.json"
    file.write_text('{"a": {"x": "1"}, "b": {"x": "2"}}')
    assert "Importing" not in run(["import", "--prefix", "drawn", str(file)]).stderr
    shown, code = on_terminal(["import", "--prefix", "drawn-too", str(file)])
    assert code == 0, shown
    assert "Importing" in shown


def test_nothing_secret_stands_in_the_process_list(people, monkeypatch):
    """While a secret is written from stdin, the process's arguments and environment do not hold it."""
    monkeypatch.setenv("ML_SECRETS_TOKEN", people["root"])
    process = subprocess.Popen(
        [*PROGRAM, "kv", "put", "argv", "password=-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    seen = b""
    for name in ("cmdline", "environ"):
        seen += Path(f"/proc/{process.pid}/{name}").read_bytes()
    out, err = process.communicate(b"fake-secret-on-stdin\n", timeout=20)
    assert process.returncode == 0, err
    assert b"fake-secret-on-stdin" not in seen + out + err


def test_a_value_from_stdin_is_asked_for_on_a_terminal(logged_in):
    """`key=-` with nothing piped in: asked for without echo, twice, like `key=?`; nobody types blindly into a program that waits."""
    shown, code = on_terminal(["kv", "put", "app/asked", "value=-"], PASSWORD, PASSWORD)
    assert code == 0
    assert PASSWORD not in shown
    assert run(["kv", "get", "--field", "value", "app/asked"]).stdout.strip() == PASSWORD
