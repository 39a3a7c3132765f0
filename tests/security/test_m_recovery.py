"""A store that opens by itself, after its key was lost: the server runs sealed, and takes recovery keys."""

import os
import re

import pytest
from tests.security.serving import Store, stored


@pytest.mark.parametrize("damage", ["lost", "another's", "unreadable"])
def test_recovery_keys_open_a_server_whose_key_file_is_gone(tmp_path, damage):
    """It starts sealed and says why; `sys/unseal` opens it, and the next start opens by itself again."""
    with stored(tmp_path / "store") as store:
        store.ask("PUT", "cubbyhole/kept", {"a": "b"})
        store.stop()
        spoil(store.folder / "unseal.key", damage)
        store.start()
        assert store.ask("GET", "cubbyhole/kept").status == 503
        assert "operator unseal` with recovery keys" in store.log.read_text()
        if damage == "unreadable":
            (store.folder / "unseal.key").unlink()
        opened = store.ask("PUT", "sys/unseal", {"key": store.made["recovery_keys"][0]}, token=None)
        assert (opened.status, opened.json["sealed"]) == (200, False)
        assert store.ask("GET", "cubbyhole/kept").data == {"a": "b"}
        store.stop()
        store.start()
        assert store.ask("GET", "cubbyhole/kept").status == 200


def spoil(key_file, damage):
    key_file.chmod(0o600)
    text = key_file.read_text()
    if damage == "lost":
        key_file.unlink()
    elif damage == "another's":
        key_file.write_text(text.rstrip()[:-64] + os.urandom(32).hex())
        key_file.chmod(0o400)
    else:
        key_file.chmod(0o444)


def test_recovery_shares_open_a_server_with_another_passphrase(tmp_path):
    """The store is locked to the passphrase as it is now; before the shares come, nothing is served."""
    store = Store(tmp_path / "store")
    passphrase = store.folder / "passphrase"
    store.config.write_text(
        re.sub(
            r'type = "keyfile"\npath = .*',
            f'type = "passphrase"\nfile = "{passphrase}"',
            store.config.read_text(),
        )
    )
    passphrase.write_text("correct horse battery staple")
    passphrase.chmod(0o600)
    try:
        store.start().initialize().stop()
        passphrase.write_text("none of those words")
        store.start()
        assert store.ask("GET", "sys/mounts").status == 503
        store.ask("PUT", "sys/unseal", {"key": store.made["recovery_keys"][0]}, token=None)
        assert store.ask("GET", "sys/mounts").status == 200
        store.stop()
        assert store.start().ask("GET", "sys/mounts").status == 200
    finally:
        store.stop()


class LocalServer(Store):
    """A user's own server, without a configuration."""

    def command(self):
        return [*self.program, "server", "--listen", f"127.0.0.1:{self.port}"]


def test_a_local_server_without_its_key_file_waits_for_its_recovery_key(tmp_path):
    """The key shown at the first start opens it, as was said there; the token of that user still counts."""
    places = {
        "ML_SECRETS_DATA_DIR": str(tmp_path / "data"),
        "ML_SECRETS_CONFIG_DIR": str(tmp_path / "config"),
    }
    store = LocalServer(tmp_path / "log", environment=os.environ | places)
    try:
        store.start()
        shown = re.search(r"^    ([A-Za-z0-9+/]{43}=)$", store.log.read_text(), re.MULTILINE)
        store.token = (tmp_path / "config" / "token").read_text()
        store.stop()
        (tmp_path / "config" / "unseal.key").unlink()
        store.start()
        assert store.ask("GET", "sys/mounts").status == 503
        store.ask("PUT", "sys/unseal", {"key": shown[1]}, token=None)
        assert store.ask("GET", "sys/mounts").status == 200
    finally:
        store.stop()
