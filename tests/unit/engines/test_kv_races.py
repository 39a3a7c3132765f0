"""KV version 2 under many writers at once: one history, nothing lost, nobody wins twice."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_secrets.storage.interface import Moved


def at_once(work, count):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_of_sixty_creators_one_wins(kv2):
    """cas=0: one 200, the others are told that they were late."""
    answers = at_once(lambda n: kv2.ask("POST", "data/app", {"data": {"by": n}, "options": {"cas": 0}}), 60)
    assert Counter(answer.status for answer in answers) == {200: 1, 400: 59}
    winner = next(n for n, answer in enumerate(answers) if answer.status == 200)
    assert kv2.ask("GET", "data/app").data["data"] == {"by": winner}
    assert kv2.ask("GET", "metadata/app").data["current_version"] == 1


def test_counting_by_check_and_set_loses_nothing(kv2):
    """Four writers read, add one, and try again when they were late: no step is lost."""
    kv2.ask("POST", "data/app", {"data": {"n": 0}})

    def count(_):
        for _ in range(5):
            while True:
                seen = reading(kv2)
                body = {"data": {"n": seen["data"]["n"] + 1}, "options": {"cas": seen["metadata"]["version"]}}
                if kv2.ask("POST", "data/app", body).status == 200:
                    break

    at_once(count, 4)
    assert reading(kv2)["data"] == {"n": 20}
    assert reading(kv2)["metadata"]["version"] == 21


def reading(kv2):
    """A read, done again when a writer overtook it, as the pipeline does."""
    while True:
        try:
            return kv2.ask("GET", "data/app").data
        except Moved:
            continue


@pytest.mark.parametrize("round_", range(3))
def test_mixed_writers_leave_one_consistent_history(kv2, round_):
    """Check 79: puts, patches, deletes, undeletes and destroys at once: contiguous numbers, content for just those not destroyed."""
    kv2.ask("POST", "metadata/app", {"max_versions": 100})
    kv2.ask("POST", "data/app", {"data": {"n": -1}})
    calls = [
        lambda n: kv2.ask("POST", "data/app", {"data": {"n": n}}),
        lambda n: kv2.ask("PATCH", "data/app", {"data": {f"p{n}": n}}),
        lambda _: kv2.ask("DELETE", "data/app"),
        lambda n: kv2.ask("POST", "undelete/app", {"versions": [n // 5 + 1]}),
        lambda n: kv2.ask("POST", "destroy/app", {"versions": [n // 9 + 1]}),
    ]
    answers = at_once(lambda n: calls[(n + round_) % len(calls)](n), 40)
    made = sorted(answer.data["version"] for answer in answers if answer.status == 200)
    shown = kv2.ask("GET", "metadata/app").data
    assert made == list(range(2, shown["current_version"] + 1))
    assert list(shown["versions"]) == [str(n) for n in range(1, shown["current_version"] + 1)]
    content = {name.rsplit("/", 1)[1] for name in kv2.rows() if name.startswith("v/")}
    assert content == {n for n, version in shown["versions"].items() if not version["destroyed"]}
    for value in (value for name, value in kv2.rows().items() if name.startswith("v/")):
        json.loads(value)
