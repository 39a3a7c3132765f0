"""What a runner is told to mask. A runner that does so: tests/journeys/test_ci_step.py."""

import json

import pytest

from ml_secrets import Sensitive
from ml_secrets.agent.workflow import in_a_step, masks_of

PEM = "-----BEGIN PRIVATE KEY-----\nZmFrZS1saW5lLW9uZQ==\nZmFrZS1saW5lLXR3bw==\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("fake-value", ["fake-value"]),
        ("  fake value \n", ["fake value"]),
        ("fake%0Avalue", ["fake%250Avalue"]),
        ("fake-one::two", ["fake-one::two"]),
        ("::stop-commands::fake", ["::stop-commands::fake"]),
        ("fake-line-one\r\nfake-line-two\n\n", ["fake-line-one", "fake-line-two"]),
        (PEM, ["ZmFrZS1saW5lLW9uZQ==", "ZmFrZS1saW5lLXR3bw=="]),
        ("data:\n  fake-of-yaml\n", ["fake-of-yaml"]),
        (json.dumps({"key": "fake-json", "port": 5432}), ['{"key": "fake-json", "port": 5432}', "fake-json"]),
        ("true", []),
        ("5432", []),
        ("abc", []),
        ("", []),
        ("fáke-välue", ["fáke-välue"]),
    ],
)
def test_each_line_is_told_by_itself(value, told):
    """Escaped as runners undo it; without what would make a log unreadable."""
    assert masks_of([Sensitive(value)]).decode().splitlines() == [f"::add-mask::{line}" for line in told]


def test_each_is_told_once():
    """However many values hold it."""
    assert masks_of([Sensitive("fake-value"), Sensitive("fake-value\n")]) == b"::add-mask::fake-value\n"
    assert masks_of([]) == b""


def test_a_step_is_known_by_what_runners_say():
    """Nothing else will do."""
    assert in_a_step({"GITHUB_ACTIONS": "true"})
    assert not in_a_step({"CI": "true", "GITHUB_ACTIONS": "false"})
    assert not in_a_step({})
