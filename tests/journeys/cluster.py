"""Debian's Slurm on loopback, without systemd: munge, a controller and two nodes of four CPUs, in a folder of their own, run by root.

What a cluster has and this one has not: more than one machine, so that nodes share their memory. Processes are found by their parents
(proctrack/linuxproc), or by a cgroup where the kernel has the old ones.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from ml_secrets.testing.programs import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol")
PATIENCE = 60.0
OVER = {"COMPLETED", "CANCELLED", "FAILED", "NODE_FAIL", "TIMEOUT", "PREEMPTED"}
CONFIGURATION = """
ClusterName=journeys
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdParameters=config_overrides
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=2
JobRequeue=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=main Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""
OF_ITS_OWN = """
JobContainerType=job_container/tmpfs
PrologFlags=Contain
"""
FREEZER = Path("/sys/fs/cgroup/freezer")


def eventually(true, otherwise):
    """Wait until that is so."""
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends, otherwise
        time.sleep(0.1)


def missing():
    """The first program that is not here; "" where all are, and we may start them."""
    if os.geteuid() != 0:
        return "root"
    return next((name for name in PROGRAMS if shutil.which(name) is None), "")


class Cluster:
    """A cluster that runs. `out(job)` is what the job printed."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(folder / "slurm.conf")}

    def say(self, *words):
        """What one of Slurm's programs prints."""
        done = subprocess.run(
            list(map(str, words)),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, body, environment, *options, tasks=4):
        """Submit a batch script as somebody with these variables does. The job's number."""
        script = self.folder / "jobs" / f"{time.monotonic_ns()}.sh"
        script.write_text(
            f"#!/bin/bash\n#SBATCH --ntasks={tasks}\n#SBATCH --output={self.folder}/jobs/slurm-%j.out\n{body}\n"
        )
        done = subprocess.run(
            ["sbatch", "--parsable", *options, script],
            env=environment | {"SLURM_CONF": self.environment["SLURM_CONF"]},
            cwd=self.folder / "jobs",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def out(self, job):
        path = self.folder / "jobs" / f"slurm-{job}.out"
        return path.read_text() if path.exists() else ""

    def show(self, job):
        """All that anybody is told of a job."""
        return self.say("scontrol", "--details", "show", "job", job) + self.say(
            "scontrol", "show", "step", job
        )

    def state(self, job):
        return re.search(r"JobState=(\w+)", self.say("scontrol", "show", "job", job))[1]

    def wait(self, job):
        """Wait for its end. How it ended."""
        self.until(lambda: self.state(job) in OVER, job)
        return self.state(job)

    def until(self, true, job):
        """Wait until that is so."""
        ends = time.monotonic() + PATIENCE
        while not (found := true()):
            assert time.monotonic() < ends, f"it did not happen\n{self.out(job)}\n{self.log()}"
            time.sleep(0.1)
        return found

    def log(self):
        return "".join(
            (self.folder / name).read_text()[-3000:] for name in ("slurmctld.log", "slurmd-n1.log")
        )

    def step_daemons(self, job):
        """The processes that look after the steps of a job, but for that of its batch script."""
        found = {}
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().decode() if process.name.isdecimal() else ""
                if named := re.match(rf"slurmstepd: \[{job}\.(\w+)\]", words):
                    found[named[1]] = int(process.name)
        return found


@contextlib.contextmanager
def cluster(*, own_memory=False, cgroups=False):
    """A cluster in a folder that jobs with a /tmp of their own see, too. `own_memory`: each job has a /tmp and a /dev/shm of its own.

    `cgroups`: what is killed is killed by its cgroup.
    """
    with tempfile.TemporaryDirectory(prefix="ml-secrets-slurm-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("munge", "state", "spool", "jobs", "containers"):
            (folder / part).mkdir(mode=0o755)
        _configure(folder, own_memory=own_memory, cgroups=cgroups)
        made = Cluster(folder)
        with contextlib.ExitStack() as stack:
            _start(stack, folder, "munged", *_munge(folder / "munge"))
            _wait_for((folder / "munge" / "socket").exists, folder)
            _start(stack, folder, "slurmctld", "-D")
            for node in ("n1", "n2"):
                _start(stack, folder, "slurmd", "-D", "-N", node)
            _wait_for(lambda: _answer(made).count("idle") == 2, folder)
            try:
                yield made
            finally:
                made.say("scancel", "--user=root", "--full", "--signal=KILL")
                _wait_for(lambda: not made.say("squeue", "--noheader"), folder)
        if cgroups:
            for path in sorted(FREEZER.glob("slurm_n?/**/"), reverse=True):
                path.rmdir()


def _configure(folder, *, own_memory, cgroups):
    host = socket.gethostname().partition(".")[0]
    ports = [free_port() for _ in range(3)]
    text = CONFIGURATION.format(host=host, folder=folder, ports=ports)
    text = text.replace("proctrack/linuxproc", "proctrack/cgroup") if cgroups else text
    (folder / "slurm.conf").write_text(text + (OF_ITS_OWN if own_memory else ""))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    (folder / "job_container.conf").write_text(f"AutoBasePath=true\nBasePath={folder}/containers\n")


def _munge(folder):
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(os.urandom(128))
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return ["--foreground", "--force", *(f"--{option}={folder}/{name}" for option, name in names.items())]


def _start(stack, folder, *words):
    with (folder / "daemons.out").open("ab") as output:
        environment = {"PATH": os.environ["PATH"], "SLURM_CONF": str(folder / "slurm.conf")}
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    stack.callback(_stop, process)


def _stop(process):
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answer(made):
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node"],
        env=made.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def _wait_for(true, folder):
    ends = time.monotonic() + PATIENCE
    while not true():
        told = (folder / "daemons.out").read_text(errors="replace")[-3000:]
        assert time.monotonic() < ends, f"Slurm does not start, or does not end:\n{told}"
        time.sleep(0.1)
