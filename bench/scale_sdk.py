"""What the SDK costs: its import, and a secret that is in its cache."""

import json
import os
import subprocess
import sys

import scale_store

TRIES = 10
_IMPORT = """
import time
began = time.process_time()
import ml_secrets
bare = time.process_time() - began
from ml_secrets import get_secret
print([bare * 1e3, (time.process_time() - began) * 1e3])
"""
_CACHED = """
import sys, timeit
from ml_secrets import get_secret
name = sys.argv[1]
get_secret(name)
print(min(timeit.repeat(lambda: get_secret(name), number=20_000, repeat=10)) / 20_000 * 1e6)
"""


def measure(store):
    """Milliseconds of the processor for both imports, microseconds for a cached secret: the best of some tries."""
    imports = [json.loads(_run(_IMPORT)) for _ in range(TRIES)]
    bare, whole = (min(times) for times in zip(*imports, strict=True))
    with scale_store.running(store):
        environment = {"VAULT_ADDR": store.url, "VAULT_TOKEN": store.token}
        cached = float(_run(_CACHED, f"bench/{scale_store.name_of(0)}", **environment))
    return {"import": bare, "with get_secret": whole, "cached": cached}


def _run(program, *arguments, **environment):
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout
