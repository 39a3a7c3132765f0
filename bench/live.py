"""What a look at a live secret costs, and how long a rotation takes to reach it. Writes its part of DELIVERY.md."""

import argparse
import queue
import statistics
import tempfile
import time
import timeit
from pathlib import Path

import report

from ml_secrets import Client
from ml_secrets.client.leased import leased
from ml_secrets.testing import programs

LOOKS = 10_000
BAR = 2.0


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tries", type=int, default=30, help="the best of so many counts")
    options.add_argument("--rotations", type=int, default=100, help="how many")
    chosen = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        programs.dev_server(Path(folder)) as server,
        Client(server.url, server.token, revalidate=300) as client,
        Client(server.url, server.token) as other,
    ):
        other.kv.put("db", {"user": "ada", "password": "example"})
        looks = measured(client, chosen.tries)
        told = reached(client, other, chosen.rotations)
    report.write("Live secrets", section(looks, told))


def measured(client, tries):
    """Microseconds for each kind of look."""
    field, whole = client.live("db", field="password"), client.live("db")
    lease = leased("cubbyhole/none", client=client)
    client.write("cubbyhole/none", {"value": "example"})
    looks = {
        "`live(name, field=…).reveal()`": field.reveal,
        "`live(name).get()`": whole.get,
        "`live(name)[field]`": lambda: whole["password"],
        "`leased(path).get()`": lease.get,
        "`client.get_secret(name)`": lambda: client.get_secret("db"),
    }
    found = {}
    for name, look in looks.items():
        look()
        found[name] = min(timeit.repeat(look, number=LOOKS, repeat=tries)) / LOOKS * 1e6
    return found


def reached(client, other, rotations):
    """Milliseconds from the answer to a write until its callback was called, and until a look has it."""
    heard, handle = queue.SimpleQueue(), client.live("db", field="password")
    handle.on_change(lambda secret: heard.put((time.perf_counter(), secret.reveal())))
    handle.reveal()
    time.sleep(0.5)
    called = []
    for number in range(rotations):
        other.kv.patch("db", {"password": f"example-{number}"})
        done = time.perf_counter()
        at, value = heard.get(timeout=10)
        while value != f"example-{number}":
            at, value = heard.get(timeout=10)
        called.append((at - done) * 1e3)
        assert handle.reveal() == value
    return sorted(called)


def section(looks, told):
    lines = [
        f"`bench/live.py`, {report.here()}. A look is the best of some runs; the bar is {BAR:.0f} µs.",
        "",
        "| a look | µs |",
        "|---|---|",
        *(f"| {name} | {cost:.2f} |" for name, cost in looks.items()),
        "",
        f"A rotation reached its callback, and with it every look, {statistics.median(told):.1f} ms after the server had answered its write (median of",
        f"{len(told)}; the slowest took {told[-1]:.1f} ms; below 0 it was heard of before the writer had its answer).",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
