"""The tutorial's job where people run it: one team, with one server, for each module."""

import tempfile
from pathlib import Path

import pytest
from tests.journeys.team import team_in


@pytest.fixture(scope="module")
def team():
    """A server, an identity for jobs, samples and a tracker; in a folder that other users get into, and that a job with a /tmp of its own has."""
    with (
        tempfile.TemporaryDirectory(prefix="ml-secrets-team-", dir="/var/tmp") as folder,
        team_in(Path(folder)) as team,
    ):
        yield team
