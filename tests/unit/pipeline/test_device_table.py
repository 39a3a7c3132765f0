"""Audit devices as operators see them: what they set is shown, and a refusal says what to do."""

import pytest

from ml_secrets.errors import Invalid
from ml_secrets.server.assemble import assemble
from ml_secrets.server.config import Config


@pytest.fixture
def configured(tmp_path):
    """An open server with a device from its configuration file."""
    device = {
        "kind": "file",
        "path": "file",
        "file_path": str(tmp_path / "log"),
        "description": "by the file",
    }
    made = assemble(
        Config(
            mode="local",
            path=tmp_path / "store",
            seal="keyfile",
            key_file=tmp_path / "key" / "k",
            audit=[device],
        ),
        kv_at_secret=False,
    )
    made.opening.open_automatically(initialize={})
    yield made.house
    made.close()


def test_a_device_is_shown_as_it_was_enabled(server, tmp_path):
    """With every setting, also after the server was closed and opened."""
    options = {"file_path": str(tmp_path / "log"), "mode": "0600"}
    device = {"type": "file", "description": "for the auditors", "options": options, "local": True}
    assert server.ask("PUT", "sys/audit/team", device).status == 204
    for _ in range(2):
        assert server.ask("GET", "sys/audit").data == {"team/": device | {"path": "team/"}}
        server.server.opening.seal()
        server.server.opening.unseal(server._key, reset=False)


def test_a_device_of_the_configuration_file_is_changed_there(configured):
    """Not by requests: they are told so."""
    devices = configured.devices
    with configured.units.write() as unit:
        assert devices.table(unit)["file/"]["description"] == "by the file"
        with pytest.raises(Invalid, match="cannot disable configuration-managed audit device") as caught:
            devices.disable(unit, "file/")
    assert caught.value.hint == "take it out of the configuration file"
    assert [device.row.path for device in devices.cast] == ["file/"]


@pytest.mark.parametrize("path", ["file", "file/other"])
def test_no_device_is_enabled_where_there_is_one(configured, tmp_path, path):
    """Nor below it, nor above; whoever tries is told where it is."""
    with configured.units.write() as unit, pytest.raises(Invalid, match="path already in use") as caught:
        configured.devices.enable(
            unit,
            f"{path}/",
            kind="file",
            description="",
            options={"file_path": str(tmp_path / "other")},
            local=False,
        )
    assert caught.value.hint == "there is a device at file/"


def test_a_device_that_there_is_not_has_no_hash(configured):
    """Who asks for one is told how to see those that there are."""
    for ask in (lambda: configured.devices.hash("none/", "text"), lambda: configured.devices.head("none/")):
        with pytest.raises(Invalid, match='unknown audit backend "none/"') as caught:
            ask()
        assert "ml-secrets audit list" in caught.value.hint


def test_a_device_that_cannot_write_is_not_enabled(server, tmp_path):
    """And nothing of it stays."""
    options = {"file_path": str(tmp_path / "none" / "log")}
    (tmp_path / "none").write_text("")
    refused = server.ask("PUT", "sys/audit/team", {"type": "file", "options": options})
    assert refused.status == 400
    assert refused.errors[0].startswith("sanity check failed; ")
    assert refused.json["hint"] == "the device was not enabled"
    assert server.ask("GET", "sys/audit").data == {}


def test_a_device_that_has_no_words_for_it_keeps_no_other_from_recording(server, tmp_path, monkeypatch):
    """One record is enough."""
    logs = [tmp_path / name for name in ("first", "second")]
    for log in logs:
        options = {"file_path": str(log)}
        assert server.ask("PUT", f"sys/audit/{log.name}", {"type": "file", "options": options}).status == 204
    before = [len(log.read_text().splitlines()) for log in logs]
    monkeypatch.setattr(server.house.devices.cast[0].scribe, "both", None)
    assert server.ask("POST", "secret/data/app", {"data": {}}).status == 200
    after = [len(log.read_text().splitlines()) for log in logs]
    assert [new - old for new, old in zip(after, before, strict=True)] == [0, 2]
