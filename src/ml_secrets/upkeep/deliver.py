"""Tells webhooks what waits for them, one after the other and in order, until one does not get through.

Decide, act, record: no transaction is open while another machine takes its time, so what is recorded is recorded only if
it is still so. What does not get through is tried again, after pauses that double up to `LONGEST_PAUSE`, and after
`MOST_FAILURES` in a row no more, until somebody writes the webhook anew; meanwhile it goes on waiting.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from ml_secrets.domain import notification
from ml_secrets.registry.webhooks import State, Tested, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.domain.notification import Notification
    from ml_secrets.pipeline.house import House
    from ml_secrets.registry.unit import Unit

    Post = Callable[[str, dict[str, str], bytes], str]

ROUND: Final = 50
"""So many notifications of one webhook in one round."""
MOST_FAILURES: Final = 20
"""About nine hours of them."""
LONGEST_PAUSE: Final = 3600.0
_log: Final = logging.getLogger("ml_secrets.webhooks")


class _Sending(msgspec.Struct, frozen=True):
    """What is to be sent, and of which state. number: its place in the queue; None for a test."""

    hook: Webhook
    one: Notification
    missed: int
    number: int | None


def due(house: House, now: float) -> tuple[list[str], bool]:
    """Names of the webhooks that something waits for which may be tried now; and whether anything waits for any of them."""

    def look(unit: Unit) -> tuple[list[str], bool]:
        hooks = house.webhooks.all(unit)
        waiting = [hook for hook in hooks if _next(house, unit, hook, math.inf) is not None]
        return [hook.name for hook in waiting if _next(house, unit, hook, now) is not None], bool(waiting)

    return house.units.read(look)


def run_once(house: House, name: str, post: Post, *, limit: int = ROUND) -> bool:
    """One round for one webhook; true when more may be waiting. `post(url, headers, body)` gives "" or what went wrong."""
    for _ in range(limit):
        sending = house.units.read(lambda unit: _decide(house, unit, name))
        if sending is None:
            return False
        error = _act(sending, post, house.clock())
        with house.units.write() as unit:
            _record(house, unit, sending, error)
        if error:
            return False
    return True


def _decide(house: House, unit: Unit, name: str) -> _Sending | None:
    hook = house.webhooks.find(unit, name)
    return None if hook is None else _next(house, unit, hook, unit.now)


def _next(house: House, unit: Unit, hook: Webhook, now: float) -> _Sending | None:
    test = house.webhooks.asked_test(unit, hook)
    if test is not None:
        return _Sending(hook, test, 0, None)
    state = house.webhooks.state(unit, hook)
    if state.disabled or not state.waiting or state.try_at > now:
        return None
    one = house.webhooks.oldest(unit, hook, state)
    return None if one is None else _Sending(hook, one, state.missed, state.first)


def _act(sending: _Sending, post: Post, now: float) -> str:
    text = notification.body(sending.one, missed=sending.missed)
    return post(sending.hook.url, notification.headers(sending.hook.key, sending.one, text, now), text)


def _record(house: House, unit: Unit, sending: _Sending, error: str) -> None:
    hooks, hook = house.webhooks, sending.hook
    present = hooks.find(unit, hook.name)
    if present is None or present.uid != hook.uid:  # removed meanwhile
        return
    state = hooks.state(unit, hook)
    if sending.number is None:
        asked = hooks.asked_test(unit, hook)
        if asked is not None and asked.id == sending.one.id:
            hooks.drop_test(unit, hook)
        hooks.keep(unit, hook, replace(state, test=Tested(sending.one.id, not error, error, unit.now)))
    elif error:
        hooks.keep(unit, hook, _failed(state, hook, error, unit.now, house.random(1)[0] / 256))
    elif state.first == sending.number:
        state = hooks.drop_oldest(unit, hook, state)
        hooks.keep(unit, hook, _delivered(state, sending.missed, unit.now))


def _delivered(state: State, missed: int, now: float) -> State:
    return replace(
        state,
        delivered=state.delivered + 1,
        missed=state.missed - missed,
        failures=0,
        try_at=0.0,
        last_delivery=now,
    )


def _failed(state: State, hook: Webhook, error: str, now: float, draw: float) -> State:
    """The state after a failure. `draw` is between 0 and 1: not all that failed together are to come back together."""
    failures = state.failures + 1
    pause = min(LONGEST_PAUSE, 2.0**failures) * (0.5 + draw)
    disabled = ""
    if failures >= MOST_FAILURES:
        disabled = f"it failed {failures} times in a row; write it again to have it tried again"
        _log.error("webhook %s is not tried any more: it failed %d times in a row", hook.name, failures)
    elif failures == 1:
        _log.warning("webhook %s: %s; it is tried again", hook.name, error)
    return replace(
        state,
        failures=failures,
        try_at=now + pause,
        disabled=disabled,
        last_failure=now,
        last_error=error,
    )
