"""Where the server is looked for, and which files are not believed."""

import json
import os
import stat
from pathlib import Path

import pytest

from ml_secrets import errors, places
from ml_secrets.client import settings
from ml_secrets.sensitive import Sensitive


@pytest.fixture
def environ(tmp_path):
    """A home of its own; no variable of the test run."""
    return {"HOME": str(tmp_path)}


def place(tmp_path, name, text, mode=0o600):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_place_that_says_something_counts(tmp_path, environ):
    """From the embedded store at the bottom to the argument at the top, each place outdoes those below."""
    assert settings.resolve(environ).address == settings.EMBEDDED
    place(
        tmp_path,
        ".local/share/ml-secrets/server.json",
        f'{{"address": "http://127.0.0.1:1", "pid": {os.getpid()}}}',
    )
    assert settings.resolve(environ).address == "http://127.0.0.1:1"
    place(tmp_path, ".config/ml-secrets/config.toml", 'address = "http://127.0.0.1:2"\n')
    assert settings.resolve(environ).address == "http://127.0.0.1:2"
    for number, name in enumerate(("VAULT_ADDR", "BAO_ADDR", "ML_SECRETS_ADDR"), 3):
        environ[name] = f"http://127.0.0.1:{number}"
        assert settings.resolve(environ).address == f"http://127.0.0.1:{number}"
    assert settings.resolve(environ, address="http://127.0.0.1:9/").address == "http://127.0.0.1:9"


def test_the_first_token_counts(tmp_path, environ):
    """~/.vault-token, then what `ml-secrets login` left, the variables, and the argument."""
    environ["VAULT_ADDR"] = "http://127.0.0.1:1"
    assert settings.resolve(environ).token is None
    place(tmp_path, ".vault-token", "t1\n")
    assert settings.resolve(environ).token.reveal() == "t1"
    settings.write_token(environ, Sensitive("t2"))
    assert settings.resolve(environ).token.reveal() == "t2"
    for number, name in enumerate(("VAULT_TOKEN", "BAO_TOKEN"), 3):
        environ[name] = f"t{number}"
        assert settings.resolve(environ).token.reveal() == f"t{number}"
    environ["ML_SECRETS_TOKEN_FILE"] = str(place(tmp_path, "mounted", "t5", mode=0o644))
    assert settings.resolve(environ).token.reveal() == "t5"
    environ["ML_SECRETS_TOKEN"] = "t6"
    assert settings.resolve(environ).token.reveal() == "t6"
    assert settings.resolve(environ, token="t7").token.reveal() == "t7"


def test_the_embedded_store_gets_no_token_that_was_meant_for_a_server(tmp_path, environ):
    """VAULT_TOKEN and token files are some server's; the embedded store has its own."""
    environ["VAULT_TOKEN"] = "t"
    settings.write_token(environ, Sensitive("t2"))
    assert settings.resolve(environ).token is None


def test_the_written_token_is_private_and_can_be_forgotten(environ):
    """Mode 0600 whatever the umask, replaced whole, and gone after forgetting; forgetting twice is fine."""
    before = os.umask(0)
    try:
        for text in ("one", "two"):
            path = settings.write_token(environ, Sensitive(text))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == "two"
    assert [child.name for child in path.parent.iterdir()] == ["token"]
    settings.forget_token(environ)
    settings.forget_token(environ)
    assert not path.exists()


def test_a_token_that_cannot_be_written_leaves_nothing_behind(environ):
    """No half of it, and no whole one under another name."""
    path = settings.token_file(environ)
    path.mkdir(parents=True)
    (path / "in the way").touch()
    with pytest.raises(OSError, match="directory"):
        settings.write_token(environ, Sensitive("one"))
    assert [child.name for child in path.parent.iterdir()] == ["token"]


def test_a_token_file_of_bytes_that_are_no_text_is_refused(tmp_path, environ):
    """In our words, as any other token that fits no header."""
    environ["VAULT_ADDR"] = "http://127.0.0.1:1"
    path = place(tmp_path, ".config/ml-secrets/token", "")
    path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(errors.Invalid, match="the token is empty, or holds"):
        settings.resolve(environ)


def test_a_named_token_file_that_is_empty_is_told_by_its_name(tmp_path, environ):
    """`ml-secrets … > job-token` leaves one when it fails; no token at all would be another error, and later."""
    empty = tmp_path / "job-token"
    empty.touch()
    environ |= {"VAULT_ADDR": "http://127.0.0.1:1", "ML_SECRETS_TOKEN_FILE": str(empty)}
    with pytest.raises(errors.Invalid, match=r"the token file .*job-token is empty"):
        settings.resolve(environ)


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_no_folder_of_its_own_is_not_gone_by(home):
    """An empty or relative HOME would put keys into / or into whatever folder one stands in: the system's answer counts."""
    own = places.home({})
    assert own.is_absolute()
    assert places.home({"HOME": home}) == own


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_token_file_that_others_can_touch_is_refused(tmp_path, environ, mode):
    """The error says how to put it right, and does not show the token."""
    environ["VAULT_ADDR"] = "http://127.0.0.1:1"
    place(tmp_path, ".config/ml-secrets/token", "very-token", mode)
    with pytest.raises(errors.Invalid, match="chmod 600") as caught:
        settings.resolve(environ)
    assert "very-token" not in str(caught.value)


def test_a_server_file_that_others_can_write_is_refused(tmp_path, environ):
    """Whoever writes it decides where our token goes."""
    place(
        tmp_path,
        ".local/share/ml-secrets/server.json",
        f'{{"address": "http://127.0.0.1:1", "pid": {os.getpid()}}}',
        0o666,
    )
    with pytest.raises(errors.Invalid, match="others"):
        settings.resolve(environ)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '{"address": "http://127.0.0.1:1"}',
        '{"address": "http://127.0.0.1:1", "pid": -1}',
        '{"address": "http://127.0.0.1:1", "pid": true}',
        '{"address": "http://127.0.0.1:1", "pid": 1e99}',
        '{"address": "", "pid": 1}',
    ],
)
def test_a_server_file_of_no_running_server_is_passed_over(tmp_path, environ, text):
    """A server that crashed leaves its file behind."""
    place(tmp_path, ".local/share/ml-secrets/server.json", text)
    assert settings.resolve(environ).address == settings.EMBEDDED


def test_a_server_file_of_a_process_that_ended_is_passed_over(tmp_path, environ):
    """The process id is looked at."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    place(
        tmp_path,
        ".local/share/ml-secrets/server.json",
        f'{{"address": "http://127.0.0.1:1", "pid": {child}}}',
    )
    assert settings.resolve(environ).address == settings.EMBEDDED


@pytest.mark.parametrize(
    "address",
    [
        "secrets.example.org",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://host:x",
        "http://ada:pw@host",
        "http://host/?token=abc",
        "http://host/#f",
        "unix://",
        "file:///x",
    ],
)
def test_an_address_that_is_none_is_refused(environ, address):
    """And one with a password or a query in it, which would land in logs."""
    with pytest.raises(errors.Invalid) as caught:
        settings.resolve(environ, address=address)
    assert "pw" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tökén", "nul\0"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_unseen(environ, token):
    """HTTP libraries quote the header they choke on; we do not let it come so far."""
    with pytest.raises(errors.Invalid) as caught:
        settings.resolve(environ, address="http://127.0.0.1:1", token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("1h", 3600), ("0", 0)]
)
def test_seconds_are_read_as_people_write_them(environ, text, seconds):
    """A number, with or without a unit."""
    environ["ML_SECRETS_CACHE_TTL"] = text
    assert settings.resolve(environ).cache_ttl == seconds


@pytest.mark.parametrize("text", ["-1", "1e3", "soon", "１０", "1_000", " 5", "inf", "nan", "5 m"])
def test_seconds_that_are_none_are_refused(environ, text):
    """Nothing is guessed."""
    environ["ML_SECRETS_CACHE_TTL"] = text
    with pytest.raises(errors.Invalid, match="cache_ttl"):
        settings.resolve(environ)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True])
def test_arguments_are_checked_like_variables(environ, value):
    """Zero is fine for the cache, and no time at all for a call."""
    with pytest.raises(errors.Invalid):
        settings.resolve(environ, cache_ttl=value)
    with pytest.raises(errors.Invalid):
        settings.resolve(environ, timeout=0)
    assert settings.resolve(environ, cache_ttl=0).cache_ttl == 0


def test_the_file_sets_what_it_may_and_no_token(tmp_path, environ):
    """Unknown settings are named; a token is sent to its place."""
    path = place(
        tmp_path, ".config/ml-secrets/config.toml", 'mount = "ml/"\ntimeout = 7\nnamespace = "team"\n'
    )
    found = settings.resolve(environ)
    assert (found.mount, found.timeout, found.namespace) == ("ml", 7.0, "team")
    path.write_text('token = "abc"\n')
    with pytest.raises(errors.Invalid, match="ml-secrets login") as caught:
        settings.resolve(environ)
    assert "abc" not in str(caught.value)
    path.write_text('mount_point = "x"\n')
    with pytest.raises(errors.Invalid, match="mount_point"):
        settings.resolve(environ)
    path.write_text("= broken")
    with pytest.raises(errors.Invalid, match="not valid TOML"):
        settings.resolve(environ)


def test_certificates_are_verified_unless_somebody_says_otherwise(tmp_path, environ):
    """Default, an authority, a skip, and the argument that outdoes the skip."""
    assert settings.resolve(environ).verify is True
    environ["VAULT_SKIP_VERIFY"] = "true"
    assert settings.resolve(environ).verify is False
    assert settings.resolve(environ, verify=True).verify is True
    environ["VAULT_CACERT"] = "/ca.pem"
    assert settings.resolve(environ).verify == "/ca.pem"
    assert settings.resolve(environ, verify=tmp_path).verify == str(tmp_path)
    del environ["VAULT_CACERT"]
    environ["VAULT_SKIP_VERIFY"] = "maybe"
    with pytest.raises(errors.Invalid):
        settings.resolve(environ)


def test_folders_follow_the_desktop_rules(tmp_path):
    """Our own variable, then XDG (absolute only), then the usual place."""
    home = {"HOME": "/home/ada"}
    assert str(places.config_dir(home)) == "/home/ada/.config/ml-secrets"
    assert str(places.data_dir(home)) == "/home/ada/.local/share/ml-secrets"
    assert str(places.data_dir({**home, "XDG_DATA_HOME": "relative"})) == "/home/ada/.local/share/ml-secrets"
    assert str(places.config_dir({**home, "XDG_CONFIG_HOME": "/etc/x"})) == "/etc/x/ml-secrets"
    assert str(places.data_dir({**home, "XDG_DATA_HOME": "/x", "ML_SECRETS_DATA_DIR": "/d"})) == "/d"


def test_no_setting_shows_the_token(environ):
    """The settings can be printed."""
    assert "very-token" not in repr(
        settings.resolve(environ, address="http://127.0.0.1:1", token="very-token")
    )


def test_a_user_without_a_home_needs_none(monkeypatch):
    """In a container that runs under any user id there is nothing to find, and nothing to fail."""

    def homeless(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    found = settings.resolve({"ML_SECRETS_ADDR": "http://127.0.0.1:1"})
    assert (found.address, found.token) == ("http://127.0.0.1:1", None)


def test_a_process_that_has_got_the_servers_number_since_is_not_the_server(tmp_path, environ):
    """After a crash another process may have the number: it began at another time, and gets no token."""
    lives = {
        "address": "http://127.0.0.1:8201",
        "pid": os.getpid(),
        "started": places.process_started(os.getpid()),
    }
    place(tmp_path, ".local/share/ml-secrets/server.json", json.dumps(lives))
    assert settings.resolve(environ).address == "http://127.0.0.1:8201"
    place(tmp_path, ".local/share/ml-secrets/server.json", json.dumps({**lives, "started": "1"}))
    assert settings.resolve(environ).address == settings.EMBEDDED
