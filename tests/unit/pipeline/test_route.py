"""Where requests lead: looked up once for each path, and never confused with the help on it."""

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
