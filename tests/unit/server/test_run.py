"""`ml-secrets server` as a program: what it says when it cannot start."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from ml_secrets.testing.programs import own_command


@pytest.fixture
def taken():
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def start(folder, *arguments, before=()):
    environ = os.environ | {
        "ML_SECRETS_DATA_DIR": str(folder / "data"),
        "ML_SECRETS_CONFIG_DIR": str(folder / "config"),
    }
    return subprocess.run(
        [*before, *own_command(), "server", *arguments],
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


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        (None, "is another server running there?"),
        ("192.0.2.1:8200", "this machine does not have that address"),
        ("no-such-host.invalid:8200", "give an IP address"),
        (f"{'a' * 64}:8200", "give an IP address"),
    ],
)
def test_each_reason_not_to_listen_has_its_own_hint(tmp_path, taken, address, hint):
    """What to do about an address that is taken, that is another machine's, or a name that nobody knows."""
    done = start(tmp_path, "--dev", "--listen", address or taken)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot listen on" in done.stderr
    assert hint in done.stderr


@pytest.mark.parametrize("level", ["trace", "warn", "warning", "WARN"])
def test_the_command_line_knows_the_log_levels_of_the_configuration(tmp_path, taken, level):
    """It gets as far as the address; of what is below the level, nothing is logged."""
    done = start(tmp_path, "--dev", "--log-level", level, "--listen", taken)
    assert "cannot listen on" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("--dev-listen-address", "127.0.0.1:8200", "--listen"),
        ("--dev-root-token-id", "fake-root", "makes its root token itself"),
    ],
)
@pytest.mark.parametrize("configured", [False, True])
def test_a_dev_servers_options_are_none_of_another_servers(tmp_path, option, value, instead, configured):
    """Refused with a hint, not passed over: nothing is made, nothing listens."""
    file = tmp_path / "server.toml"
    file.write_text('[storage]\ntype = "inmem"\n')
    done = start(tmp_path, option, value, *(("--config", str(file)) if configured else ()))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{option} is for a dev server" in done.stderr
    assert "add --dev" in done.stderr
    assert instead in done.stderr
    assert value not in done.stderr
    assert not (tmp_path / "data").exists()


def test_what_the_environment_says_of_a_dev_server_does_not_make_a_stores_root_token(
    tmp_path, taken, monkeypatch
):
    """A local store's first root token is its own, not one that stands in the environment."""
    monkeypatch.setenv("VAULT_DEV_ROOT_TOKEN_ID", "fake-root")
    start(tmp_path, "--listen", taken)
    assert (tmp_path / "config" / "token").read_text().startswith("mls_")


@pytest.fixture
def ordinary():
    """What makes a program heed the modes of files, although a superuser starts it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("modes say nothing to a superuser, and there is no setpriv to make one heed them")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("where", "mode", "told", "hint"),
    [
        ("data", 0o500, "cannot make the folder", "ML_SECRETS_DATA_DIR"),
        ("data/store", 0o500, "cannot open the store in", "does this user own the folder?"),
        ("config", 0o500, "cannot make the key file", "let this user write to its folder"),
        ("server.toml", 0o000, "cannot read", "a file that this user may read"),
    ],
)
def test_what_may_not_be_written_or_read_is_told(tmp_path, ordinary, where, mode, told, hint):
    """With what to do about it, and without a trace of the program."""
    file = tmp_path / where
    if file.suffix:
        file.write_text("")
    else:
        file.mkdir(parents=True)
    target = tmp_path / "data" / "inner" if where == "data" else tmp_path / "data"
    file.chmod(mode)
    options = ["--config", str(file)] if file.suffix else ["--data-dir", str(target)]
    done = start(tmp_path, *options, before=ordinary)
    file.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_is_closed_behind_the_store_loses_no_recovery_key(tmp_path, ordinary):
    """The store can be made, its announcement beside it cannot: the key that is shown once is shown."""
    (tmp_path / "data" / "store").mkdir(parents=True)
    (tmp_path / "data").chmod(0o500)
    done = start(tmp_path, before=ordinary)
    (tmp_path / "data").chmod(0o700)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "choose another with --data-dir" in done.stderr
    assert re.search(r"^    [A-Za-z0-9+/]{43}=$", done.stdout, re.MULTILINE)
