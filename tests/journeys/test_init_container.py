"""The layout of a pod without a pod: `ml-secrets fetch` fills a folder in memory and ends, then the job runs as another user, who reads files and nothing else.

The init container is a process of root, as images often have it; the job is one of another user, who sees the folder in a mount namespace of its
own, read-only, and is told no server and no token.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.journeys.seen import processes_with
from tests.journeys.team import ADDRESS, DATABASE, EXAMPLE, KEY, PASSWORD, SECRET, TRACKING

from ml_secrets.testing.programs import own_command

USER = 65534
FILES = {
    "DATABASE_URL_FILE": "database_url",
    "TRACKING_URL_FILE": "tracking_url",
    "TRACKING_API_KEY_FILE": "tracking_api_key",
}
IN_A_CONTAINER = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
shift
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"
"""


@pytest.fixture
def volume():
    """An emptyDir of medium Memory."""
    if os.geteuid() != 0:
        pytest.skip("giving files to another user, and mounting, are for root")
    folder = Path(f"/dev/shm/ml-secrets-test-pod-{os.getpid()}")
    folder.mkdir(mode=0o755)
    yield folder
    subprocess.run(["rm", "-r", str(folder)], check=True)


@pytest.fixture
def init(team, volume):
    """Run the init container."""

    def run(*more):
        return subprocess.run(
            [*own_command(), "fetch", "--to", volume / "train", "--owner", f"{USER}:{USER}", *more],
            env=team.surroundings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return lambda *more: run("--role-id", team.role_id, "--secret-id-file", team.secret_id_file, *more)


@pytest.fixture
def container(team, volume):
    """Run a program as the job's container would; `environment` is all that it is told."""

    def run(*words, environment=None):
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-euc", IN_A_CONTAINER, "container", volume, *map(str, words)],
            env={"PATH": team.surroundings["PATH"], "OPENBLAS_NUM_THREADS": "1"} | (environment or {}),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "unshare" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"no mount namespace here: {done.stderr}")
        return done

    return run


def test_the_job_needs_files_only(team, volume, init, container):
    """It trains as another user, with no server, no token, and without ml_secrets; the init container has ended by then, and left no token."""
    if (bare := container(sys.executable, "-c", "import numpy, sqlite3")).returncode:
        pytest.skip(f"this Python is none for another user: {bare.stderr.splitlines()[-1]}")
    tokens, told = team.live_tokens(), team.told[0, KEY]
    done = init(*DATABASE, *TRACKING, *ADDRESS)
    assert done.returncode == 0, done.stderr
    assert not [value for value in (KEY, PASSWORD) if value in done.stdout + done.stderr]
    assert team.live_tokens() == tokens
    paths = {variable: str(volume / "train" / name) for variable, name in FILES.items()}
    without = "import sys, runpy; sys.modules['ml_secrets'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    ran = container(sys.executable, "-c", without, EXAMPLE, environment=paths)
    assert "accuracy 0.9" in ran.stdout, ran.stderr
    assert team.told[0, KEY] == told + 20
    assert not processes_with(KEY, PASSWORD)


def test_files_are_the_jobs_alone(volume, init, container):
    """0400 in a folder of 0700, owned by the job's user, on tmpfs; the job can neither change nor remove them."""
    init(*DATABASE)
    folder, file = volume / "train", volume / "train" / "database_url"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert file.stat().st_uid == folder.stat().st_uid == USER
    assert container("stat", "-f", "-c", "%T", file).stdout == "tmpfs\n"
    assert "Read-only file system" in container("rm", "-f", file).stderr
    assert "Read-only file system" in container("touch", folder / "more").stderr
    assert PASSWORD in container("cat", file).stdout


def test_the_pod_does_not_start_without_them(volume, init):
    """One that is missing, and none is written: the init container fails, which keeps the job from being started."""
    done = init(*DATABASE, "--file", f"OTHER_FILE=secret://secret/{SECRET}#NO_SUCH_FIELD")
    assert done.returncode == 2
    assert "NO_SUCH_FIELD" in done.stderr
    assert not list(volume.glob("train/*"))


def test_a_restarted_init_container_changes_nothing(volume, init):
    """Kubernetes may run it again: what is as it should be is not touched."""
    init(*DATABASE)
    before = (volume / "train" / "database_url").stat()
    done = init(*DATABASE)
    assert "as it was" in done.stdout
    assert (volume / "train" / "database_url").stat().st_ino == before.st_ino
