"""The tutorial's job in Slurm: what its tasks print, what they leave on the node, what they ask of the server, and how they end.

Debian's Slurm runs here on one node; see cluster.py for what that is not.
"""

import stat

import pytest
from tests.journeys import cluster as slurm
from tests.journeys.seen import files_with, processes_with
from tests.journeys.team import DATABASE, EXAMPLE, KEY, PASSWORD, typed

RUN = ("ml-secrets", "run", *DATABASE)
TRAIN = ("python", EXAMPLE)
FOR_LONG = ("--epochs", 100000, "--pause", 0.2)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one node."""
    if name := slurm.missing():
        pytest.skip(f"no Slurm to be had: {name} is missing (Debian: slurm-wlm and munge; as root)")
    with slurm.cluster() as cluster:
        yield cluster


@pytest.fixture
def job(cluster, team):
    """Submit jobs of the team, as somebody does who is logged in by a file."""

    def submit(*words, options=(), tasks=4):
        environment = team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)}
        return cluster.submit(typed(*words), environment, *options, tasks=tasks)

    return submit


@pytest.fixture(autouse=True)
def nothing_stays(team):
    """However a job ends: no folder of its runs is left, and no token."""
    tokens = team.live_tokens()
    yield
    slurm.eventually(lambda: not team.left_in_memory(), f"left behind: {team.left_in_memory()}")
    slurm.eventually(lambda: team.live_tokens() == tokens, f"{team.live_tokens()} tokens, not {tokens}")


def started(cluster, team, job, tasks=4):
    """Wait until so many tasks have reported, each with the key."""
    before = dict(team.told)
    cluster.until(lambda: sum(count > before.get(one, 0) for one, count in team.told.items()) >= tasks, job)


def test_tasks_of_a_step(cluster, team, job):
    """Each has its file in memory, 0400; nothing that it prints, and nothing that Slurm keeps or shows of it, has a value."""
    words = ("srun", *RUN, "--own-token", "--", *TRAIN, "--careless", *FOR_LONG)
    number = job(*words)
    started(cluster, team, number)
    files = [file for run in team.left_in_memory() for file in run.iterdir()]
    assert [file.name for file in files] == ["database_url"] * 4
    assert {(stat.S_IMODE(f.stat().st_mode), stat.S_IMODE(f.parent.stat().st_mode)) for f in files} == {
        (0o400, 0o700)
    }
    secrets = (KEY, PASSWORD, team.token_file.read_text())
    assert not processes_with(*secrets)
    told = cluster.show(number) + cluster.say("scontrol", "write", "batch_script", number, "-")
    assert not [secret for secret in secrets if secret in told]
    cluster.say("scancel", number)
    assert cluster.wait(number) == "CANCELLED"
    assert not files_with(cluster.folder, *secrets)
    assert cluster.out(number).count("[masked]") == 8
