"""Measure ml-secrets beside OpenBao: alternating runs on the same machine, medians, audit on for both. Writes RESULTS.md.

These machines are shared and noisy, so read the ratios, not the absolute figures.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import load
import servers

RESULTS = Path(__file__).parent / "RESULTS.md"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5, help="length of one run")
    options.add_argument("--rounds", type=int, default=3, help="runs of each, alternating")
    options.add_argument(
        "--only", default="", help="measure only rows whose name holds this text; RESULTS.md is left alone"
    )
    chosen = options.parse_args()
    rows = []
    with servers.ours() as ours, servers.openbao() as bao:
        for name, make, connections in plan():
            if chosen.only in name:
                rows.append(measure(name, make, connections, ours, bao, chosen))
        batch = batch_figures(ours, bao) if chosen.only in "batch" else ""
        memory = f"{servers.memory(ours.pid):.0f} MB / {servers.memory(bao.pid):.0f} MB"
        start = f"{ours.started:.2f} s / {bao.started:.2f} s"
    if not chosen.only:
        RESULTS.write_text(report(rows, batch, memory, start, chosen))
        print(f"wrote {RESULTS}")


def plan():
    yield "KV v2 read, 1 connection", lambda _: load.READ, 1
    yield "KV v2 read, 8 connections", lambda _: load.READ, 8
    yield "KV v2 read, 32 connections", lambda _: load.READ, 32
    yield "KV v2 write, 8 connections", lambda _: load.WRITE, 8
    yield "token lookup-self, 8 connections", lambda _: load.LOOKUP, 8
    yield "AppRole login, 8 connections", load.login, 8
    yield "token create, 8 connections", lambda _: load.CREATE, 8


def measure(name, make, connections, ours, bao, chosen):
    found = {ours.name: [], bao.name: []}
    for contender in (ours, bao):
        load.run(contender, make(contender), connections, 1)
    for _ in range(chosen.rounds):
        for contender in (ours, bao):
            found[contender.name].append(load.run(contender, make(contender), connections, chosen.seconds))
    medians = [
        load.Figures(
            *(
                statistics.median(getattr(one, part) for one in found[c.name])
                for part in ("rate", "median", "p99")
            )
        )
        for c in (ours, bao)
    ]
    line = row(name, *medians)
    print(line, flush=True)
    return line


def row(name, ours, bao):
    return (
        f"| {name} | {ours.rate:,.0f} | {bao.rate:,.0f} | {ours.rate / bao.rate:.1f}x "
        f"| {ours.median:.2f} / {ours.p99:.2f} | {bao.median:.2f} / {bao.p99:.2f} | {ours.p99 / bao.p99:.2f} |"
    )


def batch_figures(ours, bao):
    """Secrets a second: one batch call of 100 against a client's loop of single reads."""
    paths = [f"secret/data/bench/s{number}" for number in range(100)]
    servers.call(ours.url, "POST", "sys/batch", ours.token, {"paths": paths})
    began = time.perf_counter()
    for _ in range(20):
        answer = servers.call(ours.url, "POST", "sys/batch", ours.token, {"paths": paths})
        assert all(one["status"] == 200 for one in answer["data"]["results"])
    batch = 2000 / (time.perf_counter() - began)
    import httpx

    with httpx.Client(base_url=bao.url, headers={"X-Vault-Token": bao.token}) as client:
        began = time.perf_counter()
        for path in paths * 5:
            client.get(f"/v1/{path}").raise_for_status()
        loop = 500 / (time.perf_counter() - began)
    line = f"100 secrets in one call: {batch:,.0f} secrets a second; a client's loop of single reads against OpenBao: {loop:,.0f} ({batch / loop:.0f}x)."
    print(line, flush=True)
    return line


def report(rows, batch, memory, start, chosen):
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    bao = (
        subprocess.run(
            [servers.programs.openbao_program(), "version"], capture_output=True, text=True, check=True
        )
        .stdout.split("(")[0]
        .strip()
    )
    return f"""# ml-secrets beside OpenBao

`make bench` wrote this on {time.strftime("%Y-%m-%d")}: {os.cpu_count()} cores ({cpu}) shared with the load generator, Python {sys.version.split()[0]}, {bao}.
Both with a durable store (SQLite with synchronous=FULL; raft on disk), file audit and a policy-limited token; ours with tamper evidence on.
Runs of {chosen.seconds} s alternate; each figure is the median of {chosen.rounds}. The machine is shared and noisy: read the ratios.

| what | ours, requests/s | OpenBao, requests/s | ratio | ours, median / p99 ms | OpenBao, median / p99 ms | p99 ratio |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

{batch}

From start to the first answer (ours / OpenBao): {start}. Memory after the load: {memory}.
"""


if __name__ == "__main__":
    main()
