"""An agent with 100 templates of one secret each, beside our server: its memory, and how long a rotation takes to reach a file.

.venv/bin/python bench/agent.py [ROTATIONS]
"""

from __future__ import annotations

import contextlib
import http.client
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report

from ml_secrets import Client
from ml_secrets.testing import programs

COUNT = 100
ABOUT = """A rotation is a write through the API; its time is from the server's answer (the commit is before that) to a reader that
polls the file each millisecond. The bars: 80 MB, and 1 s."""


def memory(pid: int) -> str:
    """Resident and proportional memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    shared = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return f"{resident / 1024:.1f} MB resident, {shared / 1024:.1f} MB with shared pages shared out"


def configured(folder: Path, room: Path, url: str, token: str) -> Path:
    """The agent's configuration."""
    (folder / "token").touch(0o600)
    (folder / "token").write_text(token)
    parts = [
        f'[server]\naddress = "{url}"\n[login]\ntoken-file = "token"\n[[listener]]\nsocket = "{room}/agent.sock"\n'
    ]
    parts += [
        f'[[template]]\ncontents = \'user={{{{ secret("secret/bench/{n}").user }}}}\\npassword={{{{ secret("secret/bench/{n}").password }}}}\\n\'\npath = "{room}/files/{n}"\n'
        for n in range(COUNT)
    ]
    (folder / "agent.toml").write_text("\n".join(parts))
    return folder / "agent.toml"


def fine(room: Path) -> bool:
    """Is everything there?"""
    with contextlib.suppress(OSError, http.client.HTTPException):
        line = http.client.HTTPConnection("localhost", timeout=5)
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.connect(str(room / "agent.sock"))
        line.request("GET", "/agent/v1/health")
        return b'"state": "fine"' in line.getresponse().read()
    return False


def reached(path: Path, value: str) -> float:
    """Seconds until the file holds it."""
    began = time.perf_counter()
    while value not in path.read_text(encoding="utf-8"):
        time.sleep(0.001)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and write the section."""
    rotations = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    folder = Path(tempfile.mkdtemp())
    room = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        with programs.dev_server(folder) as server, Client(server.url, server.token, cache_ttl=0) as client:
            for n in range(COUNT):
                client.kv.put(f"bench/{n}", {"user": f"user-{n}", "password": f"first-{n}"})
            config = configured(folder, room, server.url, server.token)
            rows = measured(client, config, room, rotations)
    finally:
        shutil.rmtree(room)
        shutil.rmtree(folder)
    table = "\n".join(f"| {what} | {figure} |" for what, figure in rows)
    report.write(
        "An agent",
        f"`bench/agent.py`, {report.here()}. {ABOUT}\n\n| {COUNT} templates, one secret each | |\n|---|---|\n{table}",
    )


def measured(client: Client, config: Path, room: Path, rotations: int) -> list[tuple[str, str]]:
    """The rows of the table."""
    began = time.perf_counter()
    agent = subprocess.Popen(
        [*programs.own_command(), "agent", "run", "--config", str(config)], stderr=subprocess.DEVNULL
    )
    try:
        while not fine(room):
            time.sleep(0.01)
        rows = [
            ("from the start to all files written", f"{time.perf_counter() - began:.2f} s"),
            ("memory then", memory(agent.pid)),
        ]
        times = sorted(rotated(client, room, number) for number in range(rotations))
        shown = [
            f"{seconds * 1000:.1f} ms"
            for seconds in (times[len(times) // 2], times[int(len(times) * 0.99)], times[-1])
        ]
        rows.append((f"a rotation reaches its file: median, 99 %, longest of {rotations}", ", ".join(shown)))
        began = time.perf_counter()
        for n in range(COUNT):
            client.kv.put(f"bench/{n}", {"user": f"user-{n}", "password": "all-together."})
        written = time.perf_counter()
        for n in range(COUNT):
            reached(room / "files" / str(n), "all-together.")
        late = time.perf_counter() - written
        rows.append(
            (
                f"{COUNT} rotations in {written - began:.2f} s: all files have them after the last",
                f"{late * 1000:.1f} ms",
            )
        )
        return [*rows, ("memory at the end", memory(agent.pid))]
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(15)


def rotated(client: Client, room: Path, number: int) -> float:
    """Rotate one secret; seconds until its file has it."""
    n = random.randrange(COUNT)
    client.kv.put(f"bench/{n}", {"user": f"user-{n}", "password": f"rotated-{number}."})
    return reached(room / "files" / str(n), f"rotated-{number}.")


if __name__ == "__main__":
    main()
