"""Where requests lead: looked up once for each path, and never confused with the help on it."""

import pytest

from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.pipeline import route


def test_a_path_is_looked_up_once(server):
    """Whoever asks next is led by what was found, until a mount comes or goes."""
    house = server.house

    def find():
        table = house.units.read(house.mounts.table)
        return route.find(Request("1", Verb.READ, "secret/data/app"), table, house.engine)

    first = find()
    assert find() is first
    server.ask("POST", "sys/mounts/other", {"type": "kv"})
    assert find() is not first


def test_help_is_not_taken_for_the_path_itself(server):
    """Nor the path for its help, whichever was asked for first."""
    server.ask("POST", "secret/data/app", {"data": {"key": "FAKE-value"}})
    for path in ("secret/data/app", "secret/metadata/app"):
        asked = [server.ask("GET", path + query) for query in ("?help=1", "", "?help=1", "")]
        assert ["help" in answer.json for answer in asked] == [True, False, True, False]
        assert asked[0].json["help"] == asked[2].json["help"]
        assert asked[1].data == asked[3].data
    texts = {server.ask("GET", f"secret/{part}/app?help=1").json["help"] for part in ("data", "metadata")}
    assert len(texts) == 2


def test_names_without_case_are_one_in_rules(server, policy, token_of):
    """Those of users and roles; names of secrets have a case, and what is in no mount is asked for as it is."""
    server.ask("POST", "sys/auth/userpass", {"type": "userpass"})
    paths = ("auth/userpass/users/bob", "secret/data/App", "nowhere/X")
    token = token_of(policies=[policy("some", {path: ["read"] for path in paths})])
    asked = ["auth/userpass/users/BOB", "secret/data/App", "secret/data/app", "nowhere/X", "nowhere/x"]
    rights = server.ask("POST", "sys/capabilities", {"token": token, "paths": asked}).data
    assert [rights[path] for path in asked] == [["read"], ["read"], ["deny"], ["read"], ["deny"]]


@pytest.mark.parametrize(("name", "folded"), [("Bob", "bob"), ("BÖB", "BÖB"), ("\u212aim", "\u212aim")])
def test_only_ascii_letters_are_folded(name, folded):
    """The sign for kelvin would become a k, and its name another's."""
    assert route.fold(name) == folded
