"""What `ml-secrets run` adds to a command's start, and to one that prints. Writes its part of DELIVERY.md."""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import report

from ml_secrets import Client
from ml_secrets.testing import programs

FILE = ("--file", "DB_PASSWORD_FILE=secret://secret/team-a/db#password")
TEN = [
    word
    for number in range(10)
    for word in ("--file", f"V{number}_FILE=secret://secret/team-a/v{number}#value")
]
SPEED = 1 << 20
BAR = 150


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--starts", type=int, default=30, help="how many of each")
    options.add_argument("--seconds", type=int, default=5, help="for so long the command prints")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, programs.dev_server(Path(folder)) as server:
        with Client(server.url, server.token) as client:
            client.kv.put("team-a/db", {"password": "example-of-a-password"})
            for number in range(10):
                client.kv.put(f"team-a/v{number}", {"value": f"example-{number}"})
        environment = {**os.environ, "ML_SECRETS_ADDR": server.url, "ML_SECRETS_TOKEN": server.token}
        run = [*programs.own_command(), "run"]
        starts = {
            "nothing": started([*run, "--"], environment, chosen.starts),
            "1 secret as a file": started([*run, *FILE, "--"], environment, chosen.starts),
            "10 secrets as files": started([*run, *TEN, "--"], environment, chosen.starts),
            "1 secret, a token of its own": started(
                [*run, *FILE, "--job-token", "--"], environment, chosen.starts
            ),
        }
        bare, masked = (printed(words, environment, chosen.seconds) for words in ([], [*run, *FILE, "--"]))
        report.write("run", section(starts, bare, masked, chosen))


def started(words, environment, count):
    """For each start: milliseconds until the command ran, and the processor's part of it that the runner took."""
    found = []
    for _ in range(count):
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        said = subprocess.run(
            [*words, "sh", "-c", "cat /proc/$PPID/schedstat"],
            env=environment, capture_output=True, check=True,
        )  # fmt: skip
        found.append((time.clock_gettime(time.CLOCK_MONOTONIC) - began, int(said.stdout.split()[0]) / 1e6))
    bare = min(_timed(["sh", "-c", "cat /proc/self/schedstat"]) for _ in range(10))
    return (
        min(wall for wall, _ in found) * 1e3 - bare,
        statistics.median(cpu for _, cpu in found),
        min(cpu for _, cpu in found),
    )


def _timed(words):
    began = time.perf_counter()
    subprocess.run(words, capture_output=True, check=True)
    return (time.perf_counter() - began) * 1e3


def printed(words, environment, seconds):
    """Seconds that a command takes which prints 1 MB in each of so many seconds, by its own clock."""
    script = (
        "import sys, time\nline, began = b'x' * 99 + b'\\n', time.monotonic()\n"
        f"for second in range({seconds}):\n"
        f"    for _ in range({SPEED // 100}): sys.stdout.buffer.write(line); sys.stdout.flush()\n"
        "    time.sleep(max(0, began + second + 1 - time.monotonic()))\n"
        "print(time.process_time(), time.monotonic() - began, file=sys.stderr)"
    )
    python = programs.own_command()[0]
    ran = subprocess.run([*words, python, "-c", script], env=environment, capture_output=True, check=True)
    assert len(ran.stdout) == seconds * (SPEED // 100) * 100
    return [float(word) for word in ran.stderr.split()]


def section(starts, bare, masked, chosen):
    """The text."""
    rows = "\n".join(
        f"| {name} | {wall:.0f} | {middle:.0f} | {least:.0f} |"
        for name, (wall, middle, least) in starts.items()
    )
    return f"""
`bench/delivery_run.py`, {report.here()}. What `ml-secrets run` adds to a command that ends at once, with a server on the same machine; the bar
is {BAR} ms. "All": from the call to the end, best of {chosen.starts}, less what the command takes without us. The processor's time is the runner's own until the
command begins, which is what others on the machine disturb least.

| what the command gets | all, best, ms | processor, median, ms | processor, best, ms |
|---|---|---|---|
{rows}

A command that prints 1 MB a second in lines, each flushed, for {chosen.seconds} s: it took {masked[1]:.2f} s under `run` and {bare[1]:.2f} s alone; of the processor {masked[0]:.2f} s
and {bare[0]:.2f} s.
"""


if __name__ == "__main__":
    main()
