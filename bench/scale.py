"""Measure ml-secrets with many secrets, tokens and connections. Writes SCALE.md.

Each size has a store of its own, which is the smaller one's copy, grown through the product's own way of writing. Where
machines are noisy, the counts (rows read, pages looked at) and the processor's time tell more than seconds do.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import scale_counts
import scale_load
import scale_sdk
import scale_store

SCALE = Path(__file__).parent / "SCALE.md"
TOKENS = 100_000
IDLE, SLOW = 4_000, 2_000
_READS = 100_000


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", default="1000,100000,1000000", help="how many secrets")
    options.add_argument("--tokens", type=int, default=TOKENS, help="how many tokens beside 100,000 secrets")
    options.add_argument(
        "--stores", type=Path, help="a folder where the stores are kept, and used again if they are there"
    )
    options.add_argument("--rounds", type=int, default=5, help="starts of each store")
    options.add_argument("--seconds", type=int, default=5, help="length of each run over HTTP")
    chosen = options.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as passing:
        kept = chosen.stores or Path(passing)
        stores, found = [], []
        for store in grown(kept, [int(size) for size in chosen.sizes.split(",")], chosen.tokens):
            stores.append(store)
            found.append(measure(store, chosen))
        store = stores[min(1, len(stores) - 1)]
        crowd = scale_load.crowded(store, IDLE, SLOW, 3 * chosen.seconds)
        sdk = scale_sdk.measure(store)
        SCALE.write_text(report(found, crowd, sdk, store, before, chosen))
    print(f"wrote {SCALE}")


def grown(folder, sizes, tokens):
    """The stores, one after the other; that of 100,000 secrets is there without tokens and with them."""
    wanted = [(size, 0) for size in sorted(sizes)]
    if tokens:
        wanted = [*wanted, (TOKENS, tokens)]
    before = None
    for secrets, count in sorted(wanted):
        place = folder / (f"{secrets}-{count}" if count else str(secrets))
        if before is not None and not place.exists():
            shutil.copytree(before.folder, place)
        store = scale_store.Store(place)
        store.grow(secrets=secrets, tokens=count)
        print(
            f"{store.secrets:,} secrets and {len(store.tokens):,} tokens: {store.seconds:.0f} s", flush=True
        )
        yield store
        before = store if not count else before


def measure(store, chosen):
    counts = scale_counts.inside(store)
    found = scale_load.Found(store.secrets, len(store.tokens), store.size, *counts)
    scale_load.starts(store, found, chosen.rounds)
    scale_load.outside(store, found, chosen.seconds, min(_READS, 20 * store.secrets))
    print(found, flush=True)
    return found


# ── the report ──────────────────────────────────────────────────────────────────────────────────────────────────────


def report(found, crowd, sdk, store, before, chosen):
    after = os.getloadavg()
    return f"""# ml-secrets at scale

`make bench-scale` wrote this on {time.strftime("%Y-%m-%d")}: {machine()}.
Each server has SQLite with synchronous=FULL, a key-file seal, an anchor and file audit with its chain; requests come with a policy-limited
token. The machine is shared: others kept {before[0]:.1f} processes busy when this began, and {after[0]:.1f} when it ended. So read the counts
first: where others crowd the processor, even its own time for one request grows.

## Start and memory

From the start of the process until it answers, unsealed: best and median of {chosen.rounds}, and the median of the processor's time. "Cold": the kernel
was told to forget the store's file. Memory is resident memory, in MB; "after reads": {_READS:,} at random (of a
small store 20 for each secret), and then 10,000 three times over, which fills all that remembers.

| secrets | tokens | store | start, s | cold, s | processor, s | at rest | after reads | and one read with each token |
|---|---|---|---|---|---|---|---|---|
{lines(found, _start_row)}

After the start a server checks its store, row by row, while it serves. Milliseconds meanwhile, and then: median / 99th percentile.

| secrets | tokens | the check takes, s | health meanwhile | health then | read meanwhile | read then |
|---|---|---|---|---|---|---|
{lines(found, _check_row)}

## One read, and a page of 100 names

All at random, nothing asked for twice, through the whole pipeline in one process; averages of what one request takes. "Rows": rows asked
of the storage. "Names": pages of the tree of names, 64 to a page at most. "Pages": pages of SQLite that were looked at. "µs": the processor's time, median.
A page of names begins behind a name at random, in one folder that has all the secrets.

| secrets | tokens | read: rows / pages / µs | what is not there: rows + names / pages / µs | page of 100: rows + names / pages / µs |
|---|---|---|---|---|
{lines(found, _inside_row)}

Over HTTP, one connection, secrets and pages at random: requests a second; median / 99th percentile in ms.

| secrets | tokens | read | page of 100 |
|---|---|---|---|
{lines(found, _http_row)}

## {IDLE:,} idle and {SLOW:,} slow connections

{store.secrets:,} secrets. The idle ones were served once and keep their connection; the slow ones send one byte of a header each second. Whose connection the server
ends comes back at once, so that there are always as many. Requests are made in turns, one after the other, for {3 * chosen.seconds} s: median / 99th percentile / longest, in ms.

| request | alone | amid {IDLE + SLOW:,} connections |
|---|---|---|
{chr(10).join(f"| {name} | {_spread(crowd.alone[name])} | {_spread(crowd.amid[name])} |" for name in crowd.alone)}

The server ended {crowd.became["idle ended"]:,} idle and {crowd.became["slow ended"]:,} slow connections for waiting too long. Memory amid them: {crowd.became["MB"]:.0f} MB.

## The SDK

`import ml_secrets`: {sdk["import"]:.1f} ms; with `get_secret`: {sdk["with get_secret"]:.1f} ms. A cached `get_secret`: {sdk["cached"]:.2f} µs (best of {scale_sdk.TRIES}).
"""


def lines(found, row):
    return "\n".join(f"| {one.secrets:,} | {one.tokens:,} | {row(one)} |" for one in found)


def _start_row(one):
    warm, cold = ([seconds for seconds, _ in some] for some in (one.warm, one.cold))
    processor = statistics.median(seconds for _, seconds in one.warm)
    memory = [f"{megabytes:.0f}" for megabytes in one.memory] + ["-"] * (3 - len(one.memory))
    starts = [f"{min(some):.2f} / {statistics.median(some):.2f}" for some in (warm, cold)]
    return " | ".join([f"{one.size / 1e6:.0f} MB", *starts, f"{processor:.2f}", *memory])


def _check_row(one):
    health, read = "health, kept connection", "read, kept connection"
    asked = [_two(took[what]) for what in (health, read) for took in (one.meanwhile, one.then)]
    return " | ".join([f"{one.checked:.0f}", *asked])


def _inside_row(one):
    read = f"{one.read.rows:.1f} / {one.read.pages:.1f} / {one.read.median:.0f}"
    return f"{read} | {_with_names(one.absent)} | {_with_names(one.page)}"


def _with_names(counts):
    return f"{counts.rows:.1f} + {counts.names:.1f} / {counts.pages:.1f} / {counts.median:.0f}"


def _http_row(one):
    return " | ".join(
        f"{figures.rate:,.0f}; {figures.median:.2f} / {figures.p99:.2f}"
        for figures in (one.http_read, one.http_page)
    )


def _two(took):
    return f"{statistics.median(took):.2f} / {at(took, 0.99):.2f}"


def _spread(took):
    return f"{_two(took)} / {max(took):.1f}"


def at(took, part):
    """The value below which that part lies."""
    return sorted(took)[int(len(took) * part)]


def machine():
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    cpu = names[0].split(":")[1].strip() if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = subprocess.run(["uname", "-sr"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GB of memory, {system}, Python {sys.version.split()[0]}"


if __name__ == "__main__":
    main()
