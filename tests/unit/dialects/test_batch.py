"""Many reads in one request: each authorised, counted and audited by itself."""

import json

import pytest

from ml_secrets.testing.whole import Whole


@pytest.fixture
def whole(tmp_path):
    server = Whole()
    server.ask(
        "POST", "sys/audit/file", {"type": "file", "options": {"file_path": str(tmp_path / "audit.log")}}
    )
    server.log = tmp_path / "audit.log"
    for name in ("a", "b", "c"):
        server.ask("POST", f"secret/data/team/{name}", {"data": {"value": f"fake-{name}"}})
    server.ask("POST", "secret/data/other/x", {"data": {"value": "fake-x"}})
    server.ask(
        "POST", "sys/policies/acl/team", {"policy": 'path "secret/data/team/*" { capabilities = ["read"] }'}
    )
    made = server.ask(
        "POST", "auth/token/create", {"policies": ["team"], "no_default_policy": True, "ttl": "1h"}
    )
    server.token = json.loads(made.body)["auth"]["client_token"]
    return server


def batch(whole, paths, **options):
    return whole.ask("POST", "sys/batch", {"paths": paths}, **{"token": whole.token, **options})


def results(answer):
    assert answer.status == 200
    return json.loads(answer.body)["data"]["results"]


def test_results_come_in_the_order_of_the_paths(whole):
    """Each with its path, status and data."""
    found = results(batch(whole, ["secret/data/team/c", "secret/data/team/a"]))
    assert [one["path"] for one in found] == ["secret/data/team/c", "secret/data/team/a"]
    assert [one["data"]["data"]["value"] for one in found] == ["fake-c", "fake-a"]


def test_each_path_has_its_own_status(whole):
    """A denied, an absent and a malformed path do not spoil the others."""
    found = results(
        batch(
            whole, ["secret/data/team/a", "secret/data/other/x", "secret/data/team/none", "secret/data/../x"]
        )
    )
    assert [one["status"] for one in found] == [200, 403, 404, 400]
    assert "data" not in found[1]
    assert "capabilities" in found[1]["hint"]


@pytest.mark.parametrize("token", [None, "mls_s_unknown"])
def test_strangers_get_one_refusal_for_a_whole_batch(whole, token):
    """Without a live token nothing is read, and one request makes one pair of audit lines, not thousands."""
    before = whole.log.read_text().count("\n")
    answer = batch(whole, ["sys/internal/ui/mounts"] * 1000, token=token)
    assert (answer.status, answer.errors) == (403, ["permission denied"])
    assert whole.log.read_text().count("\n") == before + 2


def test_the_answer_has_a_bound(whole, monkeypatch):
    """What would come after the last byte that fits is not even read: the memory of the server is not the caller's."""
    monkeypatch.setattr("ml_secrets.dialects.vault.batch.MOST_BYTES", 5_000)
    whole.ask("POST", "secret/data/team/big", {"data": {"value": "FAKE" * 500}})
    before = whole.log.read_text().count("\n")
    found = results(batch(whole, ["secret/data/team/big"] * 5))
    assert [one["status"] for one in found] == [200, 200, 200, 413, 413]
    assert whole.log.read_text().count("\n") == before + 6


def test_each_read_is_audited_by_itself(whole):
    """A pair of lines for each path, under the batch's id and a number."""
    before = whole.log.read_text().count("\n")
    batch(whole, ["secret/data/team/a", "secret/data/other/x"])
    lines = [json.loads(line) for line in whole.log.read_text().splitlines()[before:]]
    assert [(line["type"], line["request"]["path"]) for line in lines] == [
        ("request", "secret/data/team/a"),
        ("response", "secret/data/team/a"),
        ("request", "secret/data/other/x"),
        ("response", "secret/data/other/x"),
    ]
    assert [line["request"]["id"].rpartition("-")[2] for line in lines] == ["1", "1", "2", "2"]


def test_each_read_spends_a_use(whole):
    """A token for two reads gives two of three."""
    made = whole.ask("POST", "auth/token/create", {"policies": ["team"], "num_uses": 2})
    token = json.loads(made.body)["auth"]["client_token"]
    found = results(batch(whole, [f"secret/data/team/{name}" for name in "abc"], token=token))
    assert [one["status"] for one in found] == [200, 200, 403]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"paths": "secret/data/a"},
        {"paths": [1]},
        {"paths": None},
        {"paths": ["a"] * 10_001},
        b'{"paths": ["\xff"]}',
    ],
)
def test_a_malformed_batch_is_refused_whole(whole, body):
    """400, with what to send."""
    answer = whole.ask("POST", "sys/batch", body, token=whole.token)
    assert answer.status == 400
    assert json.loads(answer.body)["errors"]


def test_percent_signs_in_paths_are_plain(whole):
    """Paths in a batch are text, not URLs: they are not decoded."""
    whole.ask("POST", "secret/data/team/50%25", {"data": {"value": "fake-half"}})
    assert results(batch(whole, ["secret/data/team/50%"]))[0]["status"] == 200
