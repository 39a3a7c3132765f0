"""What a login gives: a token as its role describes it, and an answer that shows it as it is."""

import pytest

from ml_secrets.contract.login import Login
from ml_secrets.contract.operation import Verb
from ml_secrets.contract.request import Request
from ml_secrets.domain.token import TokenEntry, TokenParameters
from ml_secrets.errors import Denied, Invalid
from ml_secrets.testing.programs import ROOT_TOKEN

PATH = "auth/token/x"
HERE = "192.0.2.7"
DAYS_32 = 32 * 86_400


@pytest.fixture
def issue(server):
    """Log ann in with these parameters of a role; the answer."""
    house = server.house

    def log_in(**parameters):
        login = Login(
            "ann", "ann-id", TokenParameters(**parameters), policies=("own",), metadata={"team": "a"}
        )
        with house.units.write() as unit:
            mount = house.mounts.table(unit).find(PATH)
            return house.issue(unit, Request("1", Verb.WRITE, PATH, remote_address=HERE), mount, login)

    return log_in


@pytest.fixture
def entry_of(server):
    """The entry of a token."""
    return lambda token: server.house.units.read(lambda unit: server.house.caller_of(unit, token)).entry


def test_a_token_is_what_its_role_describes(server, issue, entry_of):
    """Each of the role's fields is in it, from the moment on that it is made."""
    auth = issue(
        policies=("reader",),
        ttl=60,
        max_ttl=600,
        explicit_max_ttl=300,
        period=90,
        num_uses=5,
        bound_cidrs=("192.0.2.0/24",),
    ).auth
    entry = entry_of(auth["client_token"])
    assert entry == TokenEntry(
        accessor=auth["accessor"],
        policies=("default", "own", "reader"),
        path=PATH,
        created=server.now,
        expires=server.now + 90,
        display_name="ann",
        meta={"team": "a"},
        uses_left=5,
        creation_ttl=90,
        period=90,
        explicit_max_ttl=300,
        max_ttl=600,
        renewable=True,
        bound_cidrs=("192.0.2.0/24",),
        alias="ann-id",
        generation=entry.generation,
    )


def test_the_answer_shows_the_token(issue):
    """Every field of the wire; no uses left means that nobody counts them."""
    auth = issue(ttl=60).auth
    assert auth.pop("client_token").startswith("mls_s_")
    assert auth.pop("accessor")
    assert auth == {
        "policies": ["default", "own"],
        "token_policies": ["default", "own"],
        "metadata": {"team": "a"},
        "lease_duration": 60,
        "renewable": True,
        "entity_id": "",
        "token_type": "service",
        "orphan": True,
        "mfa_requirement": None,
        "num_uses": 0,
    }


@pytest.mark.parametrize(
    ("parameters", "lifetime"),
    [
        ({}, DAYS_32),
        ({"ttl": 60}, 60),
        ({"ttl": 60, "period": 90}, 90),
        ({"max_ttl": 300}, 300),
        ({"explicit_max_ttl": 300}, 300),
        ({"period": 600, "max_ttl": 300}, 600),
    ],
)
def test_it_lives_as_long_as_its_role_allows(issue, parameters, lifetime):
    """Without a word of it, as long as its mount's default and the role's maximum."""
    answer = issue(**parameters)
    assert (answer.auth["lease_duration"], answer.warnings) == (lifetime, [])


def test_a_lifetime_that_was_cut_is_told(issue):
    """In a warning, with what was asked for and what there is."""
    answer = issue(ttl=600, max_ttl=300)
    assert answer.auth["lease_duration"] == 300
    assert answer.warnings == [
        'TTL of "10m" exceeded the effective max_ttl of "5m"; TTL value is capped accordingly'
    ]


def test_a_batch_token_is_nowhere_but_with_its_holder(server, issue, entry_of):
    """No row, no accessor and no renewal; it works all the same."""
    before = server.rows()
    auth = issue(kind="batch", ttl=60).auth
    assert server.rows() == before
    assert (auth["token_type"], auth["accessor"], auth["renewable"]) == ("batch", "", False)
    entry = entry_of(auth["client_token"])
    assert (entry.kind, entry.policies, entry.expires) == ("batch", ("default", "own"), server.now + 60)
    server.now += 60
    assert server.ask("GET", "auth/token/lookup-self", token=auth["client_token"]).status == 403


@pytest.mark.parametrize("more", [{"period": 60}, {"num_uses": 1}])
def test_no_batch_token_is_periodic_or_of_limited_use(issue, more):
    """Nothing would count them; whoever set the mount to batch tokens is told that it is."""
    with pytest.raises(Invalid, match="batch tokens cannot be periodic or of limited use") as caught:
        issue(kind="batch", **more)
    assert "token_type" in caught.value.hint


def test_a_login_from_elsewhere_is_denied(issue):
    """Whoever it is: the role's addresses are those that log in."""
    with pytest.raises(Denied, match="permission denied") as caught:
        issue(bound_cidrs=("198.51.100.0/24",))
    assert caught.value.hint == "logins from this address are not allowed"


def test_a_token_may_be_bound_to_where_its_login_came_from(issue, entry_of):
    """To that one address, however many the role has."""
    auth = issue(bound_cidrs=("192.0.2.0/24",), strictly_bind_ip=True).auth
    assert entry_of(auth["client_token"]).bound_cidrs == (HERE,)


def test_the_default_policy_can_be_left_out(issue):
    """By the role."""
    assert issue(no_default_policy=True).auth["policies"] == ["own"]


def test_no_login_gives_root(server, issue):
    """Whatever its role says: nothing is stored, and it is told what to do instead."""
    before = server.rows()
    with pytest.raises(Invalid, match="auth methods cannot create root tokens") as caught:
        issue(policies=("root",))
    assert caught.value.hint == "give the role or user the policies it needs"
    assert server.rows() == before


def test_the_first_token_is_root_for_ever(server, entry_of):
    """It never ends, so there is nothing to renew."""
    entry = entry_of(ROOT_TOKEN)
    assert entry == TokenEntry(
        accessor=entry.accessor,
        policies=("root",),
        path="auth/token/root",
        created=server.now,
        expires=None,
        display_name="root",
        renewable=False,
        generation=entry.generation,
    )
    assert entry.accessor
