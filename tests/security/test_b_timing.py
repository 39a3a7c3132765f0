"""B. What the time of an answer tells of a token. A server in memory, without a network, where small differences would show."""

import statistics
import time

import pytest

from ml_secrets.testing.timing import holds_once
from ml_secrets.testing.whole import Whole


@pytest.fixture(scope="module")
def server():
    """A server with a thousand tokens."""
    whole = Whole()
    for _ in range(1000):
        assert whole.ask("POST", "auth/token/create", {"policies": ["default"]}).status == 200
    yield whole
    whole.close()


def near_and_far(server):
    """A token that is right but for its last character, and one that is right in none after the prefix."""
    real = server.ask("POST", "auth/token/create", {"policies": ["default"]}).json["auth"]["client_token"]
    turned = {"a": "b"}
    prefix = real[:4]
    near = real[:-1] + turned.get(real[-1], "a")
    far = prefix + "".join(turned.get(letter, "a") for letter in real[4:])
    return near, far


def ratio(server, samples):
    """Median time of the near one over that of the far one, asked in turns."""
    near, far = near_and_far(server)
    spent = {near: [], far: []}
    for number in range(2 * samples):
        token = (near, far)[number % 2]
        begun = time.perf_counter_ns()
        answer = server.ask("GET", "auth/token/lookup-self", token=token)
        spent[token].append(time.perf_counter_ns() - begun)
        assert answer.status == 403
    return statistics.median(spent[near]) / statistics.median(spent[far])


def test_30_a_token_that_is_nearly_right_takes_no_longer(server):
    """Check 30, everyday: medians of 500 tries each differ by less than 5 %, in one of five rounds."""
    holds_once(5, lambda: ratio(server, 500), lambda found: 0.95 < found < 1.05)


@pytest.mark.long
def test_30_a_hundred_thousand_tries_tell_nothing(server):
    """Check 30: of 50,000 tries each the medians differ by less than 1 %, in one of three rounds."""
    holds_once(3, lambda: ratio(server, 50_000), lambda found: 0.99 < found < 1.01)
