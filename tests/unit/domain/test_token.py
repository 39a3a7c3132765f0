"""How long tokens live, what policies they get, and where they may be used from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.token import (
    TokenEntry,
    address_allowed,
    address_ranges,
    first_lifetime,
    renewed_expiry,
    token_policies,
)
from ml_secrets.errors import Invalid

NONE = {"ttl": 0, "period": 0, "explicit_max_ttl": 0, "role_max_ttl": 0, "default_ttl": 100, "max_ttl": 1000}
seconds = st.integers(0, 10_000)


def entry(**changes):
    return TokenEntry(
        **{
            "accessor": "a",
            "policies": ("p",),
            "path": "auth/token/create",
            "created": 1000.0,
            "expires": 1100.0,
            "creation_ttl": 100,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("asked", "ttl", "cut"),
    [
        ({}, 100, False),
        ({"ttl": 50}, 50, False),
        ({"ttl": 5000}, 1000, True),
        ({"ttl": 1000}, 1000, False),
        ({"ttl": 500, "role_max_ttl": 200}, 200, True),
        ({"role_max_ttl": 50}, 50, False),
        ({"role_max_ttl": 5000, "ttl": 2000}, 1000, True),
        ({"explicit_max_ttl": 70, "ttl": 90}, 70, True),
        ({"explicit_max_ttl": 70}, 70, False),
        ({"period": 300}, 300, False),
        ({"period": 300, "ttl": 20}, 300, False),
        ({"period": 300, "explicit_max_ttl": 70}, 70, True),
        ({"period": 300, "role_max_ttl": 70}, 300, False),
    ],
)
def test_a_first_lifetime_is_cut_at_the_lowest_maximum(asked, ttl, cut):
    """With a warning where something asked for was cut."""
    lifetime = first_lifetime(**(NONE | asked))
    assert (lifetime.ttl, len(lifetime.warnings)) == (ttl, int(cut))


def test_the_warning_is_the_wires():
    """Both durations in Go's short form."""
    (warning,) = first_lifetime(**(NONE | {"ttl": 5400, "max_ttl": 3600})).warnings
    assert warning == 'TTL of "1h30m" exceeded the effective max_ttl of "1h"; TTL value is capped accordingly'


@given(seconds, seconds, seconds, seconds, st.integers(1, 10_000), st.integers(1, 10_000))
def test_no_first_lifetime_is_endless_or_above_its_maxima(ttl, period, explicit, role_max, default, maximum):
    """Positive always, and never above the explicit or the mount's maximum."""
    lifetime = first_lifetime(
        ttl=ttl,
        period=period,
        explicit_max_ttl=explicit,
        role_max_ttl=role_max,
        default_ttl=default,
        max_ttl=maximum,
    ).ttl
    assert 0 < lifetime <= maximum
    assert not explicit or lifetime <= explicit
    assert period or not role_max or lifetime <= role_max


@pytest.mark.parametrize("before_end", [1, 0.01, 0])
def test_a_renewal_at_the_maximum_moves_nothing(before_end):
    """Check 24: a second, ten milliseconds and nothing before the end of a token's maximum."""
    token = entry(expires=2000.0, max_ttl=1000)
    for increment in (0, 1, 10**9):
        expires, warnings = renewed_expiry(token, increment=increment, now=2000 - before_end, max_ttl=1000)
        assert expires <= 2000
        if before_end < 1:
            assert warnings


@given(
    seconds,
    seconds,
    seconds,
    st.integers(1, 10_000),
    st.lists(st.tuples(st.floats(0, 500), seconds), max_size=12),
)
def test_no_row_of_renewals_passes_a_maximum(creation, maximum, explicit, mounts, renewals):
    """However often and late: the end stays within created + maximum, and is never None."""
    creation = min(creation or 1, maximum or mounts, mounts, explicit or mounts)
    token = entry(
        creation_ttl=creation, expires=1000.0 + creation, max_ttl=maximum, explicit_max_ttl=explicit
    )
    now = 1000.0
    for pause, increment in renewals:
        now += pause
        if now >= token.expires:
            return
        expires, _ = renewed_expiry(token, increment=increment, now=now, max_ttl=mounts)
        limit = 1000 + min(maximum or mounts, mounts)
        assert expires <= (min(limit, 1000 + explicit) if explicit else limit)
        token = entry(creation_ttl=creation, expires=expires, max_ttl=maximum, explicit_max_ttl=explicit)


def test_a_periodic_token_lives_on_by_its_period():
    """Past every maximum but the explicit one; a period is no longer than the mount's maximum."""
    token = entry(period=50, expires=99_000.0)
    assert renewed_expiry(token, increment=7, now=98_990, max_ttl=1000) == (99_040, [])
    assert (
        renewed_expiry(entry(period=5000, expires=99_000.0), increment=0, now=98_990, max_ttl=1000)[0]
        == 99_990
    )
    limited = entry(period=50, explicit_max_ttl=120, expires=1110.0)
    assert renewed_expiry(limited, increment=0, now=1109, max_ttl=1000)[0] == 1120


def test_a_lowered_maximum_does_not_end_a_token_at_once():
    """It keeps the end it has, and gets no other; also in the very moment that the maximum is over."""
    token = entry(created=0.0, expires=500.0)
    for maximum in (100, 450):
        assert renewed_expiry(token, increment=100, now=450, max_ttl=maximum)[0] == 500


def test_a_renewal_gives_what_it_is_asked_for_up_to_the_maximum():
    """Counted from now, and cut at a moment that was fixed when the token was made; a warning says what was cut."""
    assert renewed_expiry(entry(), increment=200, now=1050, max_ttl=1000) == (1250, [])
    expires, (warning,) = renewed_expiry(entry(max_ttl=300), increment=200, now=1180, max_ttl=1000)
    assert expires == 1300
    assert warning.startswith('TTL of "3m20s" exceeded the effective max_ttl of "2m"')
    expires, (warning,) = renewed_expiry(entry(expires=2000.0), increment=5, now=2000, max_ttl=1000)
    assert expires == 2000
    assert 'max_ttl of "0s"' in warning


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"expires": 1100.0}, 100),
        ({"expires": 1070.0}, 70),
        ({"expires": 1500.0, "last_renewal": 1300.0}, 200),
        ({"expires": 1000.25}, 1),
        ({"expires": 1001.6}, 2),
        ({"expires": None}, 100),
    ],
)
def test_a_renewal_that_asks_for_nothing_gives_as_much_as_the_last_time(changes, given):
    """A second at least; what never ended is given what it was made for."""
    assert renewed_expiry(entry(**changes), increment=0, now=1400, max_ttl=1000) == (1400 + given, [])


def test_time_left_is_shown_in_whole_seconds():
    """To the nearest, as OpenBao does; never negative; 0 for a token without an end."""
    assert [entry().ttl(now) for now in (1000, 1000.4, 1000.6, 1099.9, 1100, 5000)] == [100, 100, 99, 0, 0, 0]
    assert entry(expires=None).ttl(0) == 0
    assert entry().orphan
    assert not entry(parent="k").orphan


def test_policies_are_folded_sorted_and_completed():
    """`root` stands alone; `default` comes along unless it is not wanted."""
    assert token_policies(("B", " a ", "a", ""), no_default_policy=False) == ("a", "b", "default")
    assert token_policies(("b",), no_default_policy=True) == ("b",)
    assert token_policies(("b", "ROOT"), no_default_policy=False) == ("root",)
    assert token_policies((), no_default_policy=True) == ()


@pytest.mark.parametrize(
    ("address", "cidrs", "allowed"),
    [
        ("10.1.2.3", (), True),
        ("", (), True),
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("11.1.2.3", ("10.0.0.0/8", "192.0.2.1"), False),
        ("192.0.2.1", ("10.0.0.0/8", "192.0.2.1"), True),
        ("::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("2001:db8::1", ("2001:db8::/32",), True),
        ("2001:db8::1", ("10.0.0.0/8",), False),
        ("10.1.2.3", ("2001:db8::/32",), False),
        ("", ("0.0.0.0/0", "::/0"), False),
        ("unix:", ("0.0.0.0/0",), False),
        ("10.0.0.1 ", ("10.0.0.0/8",), False),
    ],
)
def test_an_address_must_lie_in_a_range(address, cidrs, allowed):
    """No range binds nobody; a peer without an address fits none."""
    assert address_allowed(address, cidrs) is allowed


def test_ranges_have_one_spelling():
    """Host bits are cleared, a single address stands alone, and nonsense is refused without being shown."""
    assert address_ranges((" 10.1.2.3/8 ", "192.0.2.1", "192.0.2.1/32", "2001:DB8::/32")) == (
        "10.0.0.0/8",
        "192.0.2.1",
        "192.0.2.1",
        "2001:db8::/32",
    )
    for text in ("", "10.0.0.0/33", "localhost", "10.0.0"):
        with pytest.raises(Invalid, match="not an IP address or CIDR"):
            address_ranges((text,))
