"""Time that never goes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.server.assemble import assemble
from ml_secrets.server.clock import DOUBT, LEAP, TOLERANCE, Clock, keep_mark
from ml_secrets.server.config import Config


class Machine:
    """Two clocks to turn."""

    def __init__(self):
        self.wall, self.steady = 1_000_000.0, 50.0

    def passes(self, seconds):
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def clock(machine):
    return Clock(lambda: machine.wall, lambda: machine.steady)


def test_time_follows_the_wall_clock(machine, clock):
    """Small corrections are taken over."""
    machine.passes(10)
    machine.wall += 0.5
    assert clock() == 1_000_010.5


def test_a_step_back_is_not_followed(machine, clock, caplog):
    """Time goes on at its own pace, and the log says why, once."""
    machine.wall -= 3600
    machine.passes(10)
    assert clock() == 1_000_010.0
    machine.passes(10)
    assert clock() == 1_000_020.0
    assert caplog.text.count("stepped back") == 1


def test_a_small_step_back_stands_still(machine, clock):
    """Within the tolerance time waits for the wall clock."""
    machine.wall -= TOLERANCE - 1
    assert clock() == 1_000_000.0


def test_time_follows_again_once_the_wall_clock_has_caught_up(machine, clock):
    """After a step back that is mended, both agree again."""
    machine.wall -= 100
    machine.passes(10)
    clock()
    machine.wall += 100
    assert clock() == machine.wall


def test_a_leap_ahead_is_doubted_at_first(machine, clock, caplog):
    """A fault of a time server that is mended within a minute expires nothing."""
    machine.wall += LEAP + 1
    machine.passes(10)
    assert clock() == 1_000_010.0
    machine.wall -= LEAP + 1
    assert clock() == 1_000_010.0
    assert "leapt ahead" in caplog.text


def test_a_leap_that_lasts_is_believed(machine, clock):
    """A laptop that slept wakes up in the present."""
    machine.wall += 7200
    clock()
    machine.passes(DOUBT)
    assert clock() == machine.wall


def test_a_restart_does_not_go_back(machine, clock, caplog):
    """What had expired before the restart stays expired, whatever the machine's clock says now."""
    clock.not_before(1_000_500.0)
    assert "behind the store" in caplog.text
    machine.passes(1)
    assert clock() == 1_000_501.0
    clock.not_before(5.0)
    assert clock() == 1_000_501.0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e4)), max_size=30))
def test_time_never_goes_back_whatever_the_machine_does(steps):
    """For any sequence of steps of the wall clock."""
    machine = Machine()
    clock = Clock(lambda: machine.wall, lambda: machine.steady)
    last = clock()
    for step, passed in steps:
        machine.wall += step
        machine.passes(passed)
        now = clock()
        assert now >= last
        last = now


def test_the_store_keeps_the_time_over_a_restart(tmp_path):
    """A server that starts with the machine's clock set back a day goes on from where the store was."""
    config = Config(
        mode="local", path=tmp_path / "store", seal="keyfile", key_file=tmp_path / "key" / "unseal.key"
    )
    first = assemble(config, kv_at_secret=True, clock=Clock())
    first.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})
    seen = first.clock()
    keep_mark(seen, first.house.units)
    first.close()
    again = assemble(config, kv_at_secret=True, clock=Clock(wall=lambda: seen - 86_400))
    again.opening.open_automatically()
    try:
        assert again.clock() >= seen
    finally:
        again.close()
