"""64 processes that ask for 20 secrets each at the same instant: what the server is asked, and when all are served. Writes its part of DELIVERY.md."""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import timeit
from pathlib import Path

import report

import ml_secrets
from ml_secrets import Client
from ml_secrets.testing import programs

SECRETS = [f"secret-{number}" for number in range(20)]
HEAD = "| processes, and how each asks | requests at the server | all served after, s | the processor's time of all, s |"


def rank(begin, served, how):
    """One process."""
    assert Client  # it is loaded, as in a rank that has begun
    begin.wait()
    began, used = time.monotonic(), time.process_time()
    got = (
        ml_secrets.get_secrets(SECRETS)
        if how == "batch"
        else {name: ml_secrets.get_secret(name) for name in SECRETS}
    )
    served.put((began, time.monotonic(), time.process_time() - used))
    assert all(got[name].reveal() == name for name in SECRETS)
    begin.wait()


def crowd(number, method, how, log):
    """(Requests, seconds until all are served, seconds of the processor)."""
    context, before = multiprocessing.get_context(method), asked(log)
    begin, served = context.Barrier(number + 1), context.Queue()
    ranks = [context.Process(target=rank, args=(begin, served, how)) for _ in range(number)]
    for one in ranks:
        one.start()
    begin.wait()
    times = [served.get(timeout=120) for _ in ranks]
    begin.wait()
    for one in ranks:
        one.join()
    time.sleep(0.5)
    began, ended, used = zip(*times, strict=True)
    return asked(log) - before, max(ended) - min(began), sum(used)


def asked(log):
    """How many requests are in the audit log."""
    return sum(json.loads(line)["type"] == "request" for line in log.read_text().splitlines())


def look(url, token):
    """Microseconds of a look at a secret that is at hand."""
    with Client(url, token, revalidate=300) as one:
        one.get_secret(SECRETS[0])
        return min(timeit.repeat(lambda: one.get_secret(SECRETS[0]), number=10_000, repeat=20)) / 10_000 * 1e6


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=64)
    options.add_argument("--tries", type=int, default=3, help="the quickest of so many counts")
    chosen = options.parse_args()
    rows = []
    for share in ("on", "off"):
        for method in ("fork", "spawn"):
            for how in ("batch", "loop"):
                tries = [fresh(chosen.processes, method, how, share) for _ in range(chosen.tries)]
                requests, seconds, used = max(one[0] for one in tries), *min(one[1:3] for one in tries)
                name = f"{'together' if share == 'on' else 'each for itself'}: `{method}`, {how}"
                rows.append(f"| {name} | {requests:,} | {seconds:.2f} | {used:.2f} |")
                print(rows[-1])
    costs = [fresh(1, "fork", "batch", share)[3] for share in ("on", "off")]
    report.write("Many processes", section(chosen, rows, costs))


def fresh(number, method, how, share):
    """One count, on a server and in a folder of its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, programs.dev_server(Path(folder)) as server:
        os.environ |= {"XDG_RUNTIME_DIR": folder, "ML_SECRETS_SHARE": "off"}
        log = Path(folder) / "audit.log"
        with Client(server.url, server.token, cache_ttl=0) as root:
            root.write("sys/audit/log", {"type": "file", "options": {"file_path": str(log)}})
            for name in SECRETS:
                root.kv.put(name, {"value": name})
        os.environ |= {
            "ML_SECRETS_ADDR": server.url,
            "ML_SECRETS_TOKEN": server.token,
            "ML_SECRETS_SHARE": share,
        }
        return *crowd(number, method, how, log), look(server.url, server.token)


def section(chosen, rows, costs):
    return "\n".join(
        [
            f"`bench/ranks.py`, {report.here()}. {chosen.processes} processes ask for {len(SECRETS)} secrets each at the same instant, one by one or in one batch;",
            f"nothing is running or known before. Each read in a batch is one in the audit log. Best of {chosen.tries}; bars: 25 requests, 2 s.",
            "",
            HEAD,
            "|---|---|---|---|",
            *rows,
            "",
            f"A look at a secret that is at hand: {costs[0]:.2f} µs together, {costs[1]:.2f} µs alone (the bar: 2 µs).",
            "",
            "`torchrun` with 32 ranks, 2 forked DataLoader workers each, 20 secrets, an AppRole and two epochs (`tests/hosts/test_torchrun.py`): 22 requests,",
            "one of them a login. The same job with hvac, each process with a connection and a cache of its own: 2,592, of them 32 logins.",
        ]
    )


if __name__ == "__main__":
    main()
