"""Looking at a stopped server's store and audit log with the owner's eyes."""

import contextlib
import subprocess

import pytest

from ml_secrets.domain import audit_chain
from ml_secrets.server import config as configuration
from ml_secrets.server.assemble import assemble


def audit_key(store, device="file"):
    """The key that verifies a device's chain, from the running server."""
    return bytes.fromhex(store.ask("GET", f"sys/audit-verification-key/{device}").data["key"])


def audit_head(store, device="file"):
    """Where a device's chain ends now."""
    told = store.ask("GET", f"sys/audit-head/{device}").data
    return audit_chain.Head(seq=told["seq"], hash=told["hash"])


def check_audit(files, key, head=None):
    """Every line is in its place and unchanged, up to `head` at least."""
    with contextlib.ExitStack() as opened:
        named = [(file.name, opened.enter_context(file.open("rb"))) for file in files]
        verdict = audit_chain.verify(named, keys=[key], head=head)
    assert verdict.intact, verdict.problem
    return verdict


def check_store(store):
    """Every row of the stopped server's store opens, and they are all the rows there should be."""
    server = assemble(configuration.load(store.config), kv_at_secret=False)
    try:
        server.opening.open_automatically()
        report = server.barrier.verify()
    finally:
        server.close()
    assert report.clean, report
    return report


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of that size, mounted on a folder; skips where this user may not mount."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here: " + done.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
