"""registry/tokens.py: families, cuts, sweeping; many tokens."""

import msgspec
import pytest

from ml_secrets.domain.token import BATCH_PREFIX, TokenEntry
from ml_secrets.errors import Invalid
from ml_secrets.registry.cuts import Cuts


def entry(server, parent="", *, path="auth/token/create", ttl=3600.0, **fields):
    tokens = server.house.tokens
    return TokenEntry(
        accessor=tokens.new_accessor(),
        policies=("default",),
        path=path,
        created=server.now,
        expires=server.now + ttl,
        parent=parent,
        **fields,
    )


def issue(server, parent="", **fields):
    """A token's (text, key)."""
    tokens = server.house.tokens
    with server.house.units.write() as unit:
        token = tokens.issue(unit, entry(server, parent, **fields))
    return token, tokens.key_of(token)


def family(server, size):
    """A parent's key and the tokens of its children, every tenth of which has one of its own."""
    tokens, children = server.house.tokens, []
    _, top = issue(server)
    with server.house.units.write() as unit:
        while len(children) < size:
            child = tokens.issue(unit, entry(server, top))
            children.append(child)
            if len(children) % 10 == 0 and len(children) < size:
                children.append(tokens.issue(unit, entry(server, tokens.key_of(child))))
    return top, children


def living(server, tokens):
    return server.house.units.read(
        lambda unit: sum(server.house.tokens.find(unit, token) is not None for token in tokens)
    )


def end(server, key):
    with server.house.units.write() as unit:
        return server.house.end_token(unit, key)


@pytest.mark.parametrize("size", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_large_family_ends_in_one_short_write(server, noted, size):
    """Matrix 23: all of it at once, by one write that is no longer for a larger family; its rows are swept later, and then none is left."""
    top, children = family(server, size)
    assert living(server, children) == size
    transactions = noted()
    ended = end(server, top)
    (write,) = list(transactions)
    assert living(server, children) == 0
    assert ended == 201
    assert write.write
    assert [key for verb, key, _ in write.steps if verb == "put"] == [f"open/token/doomed/{top}"]
    assert write.work["delete"] <= 5 * ended
    assert write.work["get"] <= 2 * ended
    assert write.work["list"] <= 2 * ended + 1
    assert write.looked_through <= 2 * ended
    looks = [
        n for n, (verb, key, _) in enumerate(write.steps) if (verb, key[:17]) == ("list", "open/token/child/")
    ]
    assert max(looks) < min(n for n, (verb, _, _) in enumerate(write.steps) if verb == "delete")
    server.sweep()
    assert len(server.rows("open/token/id/")) == 1
    assert [row for row in server.rows("open/token/") if "/id/" not in row and "/accessor/" not in row] == []
    assert len(server.rows("open/token/accessor/")) == 1


def test_a_large_family_stays_ended_over_a_restart(tmp_path):
    """Matrix 23: stopped right after the write that ended it, before any sweeping."""
    from ml_secrets.testing.whole import Whole

    server = Whole(tmp_path)
    try:
        top, children = family(server, 600)
        end(server, top)
        server.reopen()
        assert living(server, children) == 0
        server.sweep()
        assert len(server.rows("open/token/id/")) == 1
    finally:
        server.close()


def test_a_chosen_token_cannot_take_the_place_of_one_whose_family_is_still_swept(server):
    """Its children would come back to life."""
    tokens = server.house.tokens
    with server.house.units.write() as unit:
        tokens.issue(unit, entry(server), token="chosen")
        top = tokens.key_of("chosen")
        children = [tokens.issue(unit, entry(server, top)) for _ in range(500)]
    end(server, top)
    with pytest.raises(Invalid, match="duplicate"), server.house.units.write() as unit:
        tokens.issue(unit, entry(server), token="chosen")
    server.sweep()
    with server.house.units.write() as unit:
        tokens.issue(unit, entry(server), token="chosen")
    assert living(server, children) == 0
    assert living(server, ["chosen"]) == 1


def test_a_long_line_ends_from_any_link_down(server):
    """Above it everybody lives on."""
    line = [issue(server)]
    for depth in range(1, 300):
        line.append(issue(server, line[-1][1], depth=depth))
    end(server, line[100][1])
    assert [living(server, [token]) for token, _ in line[98:102]] == [1, 1, 0, 0]
    assert living(server, [token for token, _ in line]) == 100
    server.sweep()
    assert len(server.rows("open/token/id/")) == 101


def test_a_cut_ends_what_was_made_below_a_path_before_it(server):
    """By whole segments; batch tokens, too; what comes after lives; sweeping takes the rows and nothing else."""
    tokens = server.house.tokens
    inside, beside = issue(server, path="auth/ci/login/a"), issue(server, path="auth/cinema/login/a")
    exact = issue(server, path="auth/ci")
    with server.house.units.write() as unit:
        batch = tokens.issue_batch(unit, entry(server, path="auth/ci/login"))
        server.house.end_tokens_below(unit, "auth/ci/")
        after = tokens.issue(unit, entry(server, path="auth/ci/login/a"))
        late = tokens.issue_batch(unit, entry(server, path="auth/ci/login"))
    assert [living(server, [token]) for token in (inside[0], exact[0], batch, beside[0], after, late)] == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]
    assert server.sweep() > 1
    assert len(server.rows("open/token/id/")) == 3
    assert [living(server, [token]) for token in (batch, beside[0], after, late)] == [0, 1, 1, 1]
    assert not server.house.units.read(tokens.waiting)


def test_a_cut_of_everything_spares_root_tokens_without_an_end(server):
    """They are no leases."""
    token, _ = issue(server)
    with server.house.units.write() as unit:
        server.house.end_tokens_below(unit, "")
    assert living(server, [token, "root-token-for-tests"]) == 1


def test_a_wider_cut_takes_the_place_of_narrower_ones(server):
    """So the table of cuts stays short."""
    with server.house.units.write() as unit:
        for path in ("auth/a/", "auth/b/x/", "auth/b/y/", "auth/b/"):
            server.house.end_tokens_below(unit, path)
        row = unit.tx.get("open/token/cuts")
    assert msgspec.msgpack.decode(row, type=Cuts) == Cuts(4, {"auth/a/": 0, "auth/b/": 3})


def test_the_table_of_cuts_has_an_end(server):
    """However many paths are cut: the oldest are forgotten once all rows are swept, and batch tokens of before them end."""
    tokens = server.house.tokens
    with server.house.units.write() as unit:
        batch = tokens.issue_batch(unit, entry(server, path="auth/other/login", kind="batch"))
        service = tokens.issue(unit, entry(server, path="auth/other/login"))
        server.house.end_tokens_below(unit, "auth/ci/first/")
        later = tokens.issue_batch(unit, entry(server, path="auth/other/login", kind="batch"))
        for number in range(1000):
            server.house.end_tokens_below(unit, f"auth/ci/{number}/")
    assert [living(server, [token]) for token in (batch, service, later)] == [1, 1, 1]
    server.sweep()
    row = server.house.units.read(lambda unit: unit.tx.get("open/token/cuts"))
    kept = msgspec.msgpack.decode(row, type=Cuts)
    assert (len(kept.below), kept.batch_below, "auth/ci/first/" in kept.below) == (1000, 1, False)
    assert [living(server, [token]) for token in (batch, service, later)] == [0, 1, 1]


def test_a_cut_during_a_sweep_is_not_overlooked_and_does_not_begin_it_anew(server):
    """The round goes on where it was; another follows for the tokens that it had passed."""
    tokens, passed = server.house.tokens, [issue(server, path=f"auth/b/{number}") for number in range(20)]
    first = min(passed, key=lambda one: one[1])
    issue(server, path="auth/a/x")
    with server.house.units.write() as unit:
        server.house.end_tokens_below(unit, "auth/a/")
    with server.house.units.write() as unit:
        tokens.sweep(unit, limit=5, on_end=lambda _: None)
        began = unit.tx.get("open/token/sweep")
        server.house.end_tokens_below(unit, "auth/b/")
        assert unit.tx.get("open/token/sweep") == began != b""
    assert living(server, [first[0]]) == 0
    server.sweep()
    assert len(server.rows("open/token/id/")) == 1


@pytest.mark.parametrize("row", [b"", b"ff"])
def test_a_sweep_that_version_0_1_began_is_done_again(server, row):
    """Its row had no generation."""
    issue(server, path="auth/ci/login/a")
    with server.house.units.write() as unit:
        server.house.end_tokens_below(unit, "auth/ci/")
        unit.tx.put("open/token/sweep", row)
    server.sweep()
    assert len(server.rows("open/token/id/")) == 1
    assert not server.house.units.read(server.house.tokens.waiting)


def test_children_of_what_a_cut_ended_end_with_it(server):
    """Wherever they were made."""
    _, key = issue(server, path="auth/ci/login/a")
    child, _ = issue(server, key)
    with server.house.units.write() as unit:
        server.house.end_tokens_below(unit, "auth/ci/")
    assert living(server, [child]) == 0
    server.sweep()
    assert len(server.rows("open/token/id/")) == 1


def test_an_orphaning_end_frees_many_children(server):
    """They live on, each on its own."""
    top, children = family(server, 300)
    with server.house.units.write() as unit:
        server.house.end_token_alone(unit, top)
    assert living(server, children) == 300
    assert server.rows(f"open/token/child/{top}/") == []


def test_what_a_rolled_back_write_changed_is_not_remembered(server):
    """Neither an end nor a new token."""
    token, key = issue(server)
    made = []

    def change():
        with server.house.units.write() as unit:
            server.house.end_token(unit, key)
            made.append(server.house.tokens.issue(unit, entry(server)))
            assert server.house.tokens.find(unit, made[0]) is not None
            server.house.end_tokens_below(unit, "auth/")
            raise Invalid

    with pytest.raises(Invalid):
        change()
    assert living(server, [token]) == 1
    assert living(server, made) == 0


def test_a_swept_round_is_bounded(server):
    """However much is due, and however many parents: a round is short, so that requests get their turn."""
    for _ in range(30):
        family(server, 50)
    server.now += 4000
    before, rounds, most = len(server.rows("open/token/id/")), 0, 0
    with server.house.units.write() as unit:
        more = server.house.sweep_tokens(unit, limit=50)
    while more:
        left = len(server.rows("open/token/id/"))
        most, before, rounds = max(most, before - left), left, rounds + 1
        with server.house.units.write() as unit:
            more = server.house.sweep_tokens(unit, limit=50)
    assert before == 1
    assert most < 2 * 200
    assert rounds >= 3


@pytest.mark.parametrize("spelling", ["{}=", "{}==", "{} ", "{}!", "!{}", "{}\u00e9"])
def test_a_batch_token_has_one_spelling(server, spelling):
    """Characters that decoding would skip make another token, which nobody has: in the audit log it is one text."""
    tokens = server.house.tokens
    token = server.house.units.read(lambda unit: tokens.issue_batch(unit, entry(server, kind="batch")))
    prefix, text = token[: len(BATCH_PREFIX)], token[len(BATCH_PREFIX) :]
    assert living(server, [token]) == 1
    assert living(server, [prefix + spelling.format(text)]) == 0
