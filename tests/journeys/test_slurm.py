"""The tutorial's job in Slurm: what its tasks print, what they leave on the node, what they ask of the server, and how they end.

Debian's Slurm runs here on one node; see cluster.py for what that is not.
"""

import os
import re
import shutil
import signal
import stat
from collections import Counter
from pathlib import Path

import pytest
from tests.docs.pages import blocks
from tests.journeys import cluster as slurm
from tests.journeys.seen import files_with, processes_with
from tests.journeys.team import DATABASE, EXAMPLE, KEY, PASSWORD, SECRET, typed

pytestmark = pytest.mark.hosts  # it wants Debian's Slurm, and most of a minute
RUN = ("ml-secrets", "run", *DATABASE)
TRAIN = ("python", EXAMPLE)
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-in-slurm.md"
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

    submitted = []

    def submit(*words, options=(), tasks=4):
        environment = team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)}
        submitted.append(cluster.submit(typed(*words), environment, *options, tasks=tasks))
        return submitted[-1]

    yield submit
    for one in submitted:
        cluster.say("scancel", one)
        cluster.wait(one)


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
    assert not files_with(cluster.folder, *secrets)
    cluster.say("scancel", number)
    assert cluster.wait(number) == "CANCELLED"
    assert not files_with(cluster.folder, *secrets)
    assert cluster.out(number).count("[masked]") == 8


def test_what_the_page_shows(cluster, team, job):
    """The declaration and the script of docs/how-to/run-in-slurm.md, as they stand there."""
    (declared,) = blocks(PAGE, "toml")
    (script,) = blocks(PAGE, "bash")
    (cluster.folder / "jobs" / "ml-secrets.toml").write_text(declared[1])
    shutil.copy(EXAMPLE, cluster.folder / "jobs")
    around = team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)}
    number = cluster.submit(script[1].removeprefix("#!/bin/bash\n"), around)
    assert cluster.wait(number) == "COMPLETED"
    assert cluster.out(number).count("accuracy 0.9") == 4
    (cluster.folder / "jobs" / "ml-secrets.toml").unlink()


def test_a_run_around_a_step(cluster, team, job):
    """One run for all tasks of a node: one login, one token for the tasks, one read for the file and one for all of them."""
    lines = team.lines
    role = ("--role-id", team.role_id, "--secret-id-file", team.secret_id_file)
    number = job(*RUN, *role, "--job-token", "--", "srun", *TRAIN, "--careless")
    assert cluster.wait(number) == "COMPLETED"
    printed = cluster.out(number)
    assert printed.count("accuracy 0.9") == 4
    assert printed.count("[masked]") == 8
    asked = team.asked(lines)
    assert asked["auth/approle/login"] == asked["auth/token/create"] == 1
    assert asked["auth/token/revoke-self"] == 2
    assert team.asked(lines, by="token-ml-secrets-run")[f"secret/data/{SECRET}"] == 1


def test_a_run_on_each_node(cluster, team, job):
    """One for all that is started there: with torchrun for `both`, say."""
    both = f"RANK=$((2 * SLURM_NODEID)) {typed(*TRAIN)} & RANK=$((2 * SLURM_NODEID + 1)) {typed(*TRAIN)} & wait; echo $ML_SECRETS_RUN"
    words = ("srun", "--ntasks-per-node=1", *RUN, "--job-token", "--", "bash", "-c", both)
    number = job(*words, options=["--nodes=2"], tasks=2)
    assert cluster.wait(number) == "COMPLETED"
    printed = cluster.out(number)
    assert {f"task {task}: accuracy" in printed for task in range(4)} == {True}
    assert len({line for line in printed.splitlines() if re.fullmatch(r"[\d-]+-[0-9a-f]{16}", line)}) == 2


@pytest.mark.parametrize("deaf", [False, True], ids=["that ends", "that does not listen"])
def test_cancelled(cluster, team, job, deaf):
    """`scancel` ends a job, with SIGTERM and then, for one that does not listen, with `kill -9` of everything: nothing stays."""
    ears = "trap '' TERM; " * deaf
    number = job(
        "srun", *RUN, "--job-token", "--", "bash", "-c", f"{ears} echo up; while true; do sleep 0.1; done"
    )
    cluster.until(lambda: cluster.out(number).count("up") == 4, number)
    assert len(team.left_in_memory()) == 4
    cluster.say("scancel", number)
    assert cluster.wait(number) == "CANCELLED"


def test_a_killed_step_daemon(cluster, team, job):
    """`kill -9` of slurmstepd, which ends nobody: each run does, and its command with it."""
    number = job("srun", *RUN, "--job-token", "--", *TRAIN, *FOR_LONG)
    started(cluster, team, number)
    os.kill(cluster.step_daemons(number)["0"], signal.SIGKILL)
    slurm.eventually(lambda: not team.left_in_memory(), "files stay")
    cluster.say("scancel", number)
    assert cluster.wait(number) == "CANCELLED"


def test_requeued(cluster, team, job):
    """What was preempted runs again, with files of its own: those of the first time are gone by then."""
    number = job("srun", *RUN, "--job-token", "--", *TRAIN, *FOR_LONG, options=["--requeue"])
    started(cluster, team, number)
    before = set(team.left_in_memory())
    cluster.say("scontrol", "requeue", number)
    cluster.until(lambda: cluster.state(number) == "PENDING", number)
    cluster.say(
        "scontrol", "update", f"JobId={number}", "StartTime=now"
    )  # not after two minutes, as it would
    cluster.until(lambda: cluster.state(number) == "RUNNING", number)
    started(cluster, team, number)
    assert not before & set(team.left_in_memory())
    assert len(team.left_in_memory()) == 4
    assert "Restarts=1" in cluster.show(number)


def test_an_array(cluster, team, job):
    """Each of its jobs trains another model, with files of its own."""
    told = Counter({task: team.told[task, KEY] for task in range(4)})
    number = job(*RUN, "--job-token", "--", *TRAIN, "--careless", options=["--array=0-3"], tasks=1)
    jobs = re.findall(r"JobId=(\d+)", cluster.say("scontrol", "show", "job", number))
    assert {cluster.wait(one) for one in jobs} == {"COMPLETED"}
    assert {task: team.told[task, KEY] - told[task] for task in range(4)} == dict.fromkeys(range(4), 20)
    printed = "".join(path.read_text() for path in (cluster.folder / "jobs").glob("slurm-*.out"))
    assert printed.count("accuracy") >= 4
    assert not [value for value in (KEY, PASSWORD) if value in printed]


def test_tasks_ask_as_one(cluster, team, job):
    """Whether they read files or ask by themselves: each question is asked once for all tasks of the node."""
    lines = team.lines
    number = job("srun", *RUN, "--own-token", "--", *TRAIN, *FOR_LONG)
    started(cluster, team, number)
    cluster.until(lambda: team.asked(lines)["auth/token/lookup-self"], number)
    asked = team.asked(lines)
    assert asked["auth/token/lookup-self"] == 1, asked
    assert asked[f"sys/internal/ui/mounts/secret/{SECRET}"] == 1, asked
    assert asked[f"secret/data/{SECRET}"] <= 3, asked


def test_slurm_keeps_what_the_submitter_has_in_variables(cluster, team):
    """Why a token is in a file: one in a variable lies in the controller's folder, with the job; --export leaves it out."""
    token = team.token_file.read_text()
    body = typed("ml-secrets", "run", *DATABASE, "--own-token", "--", "true")
    file = {"ML_SECRETS_TOKEN_FILE": str(team.token_file)}
    around = team.surroundings | file | {"ML_SECRETS_TOKEN": token}
    chosen = ",".join([*team.surroundings, *file])
    held = cluster.submit(body, around, "--hold", f"--export={chosen}")
    assert not files_with(cluster.folder, token)
    cluster.say("scontrol", "release", held)
    assert cluster.wait(held) == "COMPLETED"
    held = cluster.submit(body, around, "--hold")
    assert files_with(cluster.folder / "state", token)
    cluster.say("scancel", held)


def test_a_job_with_memory_of_its_own(team):
    """With job_container/tmpfs /dev/shm is the job's: others do not see its files, and all goes with the job, killed at once or not."""
    with slurm.cluster(own_memory=True) as cluster:
        environment = team.surroundings | {
            "ML_SECRETS_TOKEN_FILE": str(team.token_file),
            "XDG_RUNTIME_DIR": "",
        }
        body = typed(
            "srun", *RUN, "--own-token", "--", "sh", "-c", 'ls -l "$DATABASE_URL_FILE"; exec sleep 1000'
        )
        number = cluster.submit(body, environment, tasks=2)
        cluster.until(lambda: cluster.out(number).count("/database_url") == 2, number)
        paths = [
            Path(line.split()[-1]) for line in cluster.out(number).splitlines() if "/database_url" in line
        ]
        assert {path.parts[:3] for path in paths} == {("/", "dev", "shm")}
        assert not [path for path in paths if path.exists()]
        assert list(cluster.folder.glob(f"containers/*/{number}"))
        cluster.say("scancel", "--full", "--signal=KILL", number)
        cluster.wait(number)
        cluster.until(lambda: not list(cluster.folder.glob(f"containers/*/{number}")), number)


def test_a_step_that_is_killed_by_its_cgroup(team):
    """A signal comes once, as Slurm sends it to the run alone. `kill -9` of everything leaves files to the next run, and none with --memfd."""
    if not slurm.FREEZER.exists():
        pytest.skip("no cgroup of the old kind that processes can be frozen in")
    tokens = team.live_tokens()
    with slurm.cluster(cgroups=True) as cluster:
        deaf = "trap '' TERM; trap 'echo heard' USR1; echo up; while true; do sleep 0.1; done"
        for memory, left in ((("--memfd",), 0), ((), 1)):
            words = ("srun", *RUN, "--own-token", *memory, "--", "bash", "-c", deaf)
            around = team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file)}
            number = cluster.submit(typed(*words), around, tasks=1)
            cluster.until(lambda number=number: "up" in cluster.out(number), number)
            cluster.say("scancel", "--signal=USR1", number)
            cluster.until(lambda number=number: "heard" in cluster.out(number), number)
            cluster.say("scancel", number)
            assert cluster.wait(number) == "CANCELLED"
            assert cluster.out(number).count("heard") == 1
            assert len(team.left_in_memory()) == left
        number = cluster.submit(typed(*RUN, "--own-token", "--", "true"), around, tasks=1)
        assert cluster.wait(number) == "COMPLETED"
        assert not team.left_in_memory()
    assert team.live_tokens() == tokens
