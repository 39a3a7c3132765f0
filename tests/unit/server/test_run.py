"""`ml-secrets server` as a program: what it says when it cannot start."""

import os
import re
import socket
import subprocess

import pytest

from ml_secrets.testing.programs import own_command


@pytest.fixture
def taken():
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def start(folder, *arguments):
    environ = os.environ | {
        "ML_SECRETS_DATA_DIR": str(folder / "data"),
        "ML_SECRETS_CONFIG_DIR": str(folder / "config"),
    }
    return subprocess.run(
        [*own_command(), "server", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_recovery_key_of_a_new_store_is_shown_although_its_address_is_taken(tmp_path, taken):
    """It is shown only once, so not showing it at the first start would lose it. The second start has nothing to show."""
    first = start(tmp_path, "--listen", taken)
    assert first.returncode == 1
    assert "Address already in use" in first.stderr
    assert re.search(r"^    [A-Za-z0-9+/]{43}=$", first.stdout, re.MULTILINE)
    second = start(tmp_path, "--listen", taken)
    assert (second.returncode, second.stdout) == (1, "")


def test_a_development_server_listens_where_it_is_told(taken, tmp_path):
    """--listen is as good as --dev-listen-address."""
    for option in ("--listen", "--dev-listen-address"):
        assert f"cannot listen on {taken}" in start(tmp_path, "--dev", option, taken).stderr


def test_a_store_that_cannot_be_made_is_told_in_one_line(tmp_path):
    """The anchor of another store is in the way: the operator reads what to do, and no trace of the program."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "anchor").write_bytes(b"another store's")
    done = start(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is an anchor of another store" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_level_that_is_none_stops_the_start(tmp_path):
    """Not: a server that logs less than was asked for."""
    file = tmp_path / "server.toml"
    file.write_text('log_level = "loud"\n[storage]\ntype = "inmem"\n')
    done = start(tmp_path, "--config", str(file))
    assert done.returncode == 1
    assert "unknown log level 'loud'" in done.stderr


def test_plain_http_for_other_machines_is_warned_of(taken, tmp_path):
    """A development server that listens everywhere says what that means; one on loopback has nothing to say."""
    everywhere = f"0.0.0.0:{taken.rpartition(':')[2]}"
    assert (
        f"{everywhere} is reached from other machines without TLS"
        in start(tmp_path, "--dev", "--listen", everywhere).stderr
    )
    assert "other machines" not in start(tmp_path, "--dev", "--listen", taken).stderr


def test_a_key_file_in_the_stores_folder_stops_every_start(tmp_path, taken):
    """The start of a store that waits for its init, which makes nothing, and of one whose key file was moved there."""
    store, file = tmp_path / "data" / "store", tmp_path / "server.toml"
    file.write_text(f'[storage.sqlite]\npath = "{store}"\n[seal.keyfile]\npath = "{store}/unseal.key"\n')
    new = start(tmp_path, "--config", str(file))
    assert not store.exists()
    start(tmp_path, "--listen", taken)
    (tmp_path / "config" / "unseal.key").rename(store / "unseal.key")
    for done in (new, start(tmp_path, "--config", str(file))):
        assert (done.returncode, done.stdout) == (1, "")
        assert "lies in the store's folder" in done.stderr
        assert "put the key file elsewhere" in done.stderr
