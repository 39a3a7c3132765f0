"""`ml-secrets server`: settings, parts, sockets, signals, and what the operator is told.

1  settings     the local server, a development server, or a configuration file
2  process      no core dumps, no debugger, keys out of swap where the system allows it
3  parts        assemble; the store is locked by this process from here on
4  open         local: by its key file, initialised on the first start; development: at once; else as its seal says
5  serve        until SIGTERM or SIGINT; SIGHUP reloads TLS files and audit devices
6  close        finish the requests in flight, seal, release the files
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import resource
import signal
import sys
from typing import TYPE_CHECKING, Final

import uvloop

from ml_secrets.crypto.memory import harden_process
from ml_secrets.domain.log_level import LEVELS
from ml_secrets.domain.token import BATCH_PREFIX
from ml_secrets.errors import Invalid
from ml_secrets.pipeline.opening import KeyLost
from ml_secrets.server import config as configuration
from ml_secrets.server.asgi import Edge
from ml_secrets.server.assemble import Assembled, assemble
from ml_secrets.server.config import Config, Listener
from ml_secrets.server.http1.connections import CONNECTIONS
from ml_secrets.server.listen import Listening
from ml_secrets.server.local import announced, keep_token, local_config, stored_token, token_path
from ml_secrets.server.settings import own_version
from ml_secrets.server.ticker import Ticker

if TYPE_CHECKING:
    from ml_secrets.pipeline.opening import Opening
    from ml_secrets.server.options import ServerOptions

_OTHER_FILES: Final = 256
_log: Final = logging.getLogger("ml_secrets.server")


def run(options: ServerOptions) -> int:
    """Run a server until it is told to stop. Returns the exit status; raises `Refusal` or `Fault` when it cannot start."""
    config = _settings(options)
    logging.basicConfig(
        level=LEVELS[config.log_level],
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    _take_open_files()
    for missing in harden_process():
        _log.warning("%s", missing)
    for name in config.ignored:
        _log.warning("setting %s has no effect here", name)
    for one in config.listeners:
        if one.exposed:
            _log.warning(
                "%s is reached from other machines without TLS: tokens and secrets can be read on the way",
                one.address,
            )
    server = assemble(
        config,
        kv_at_secret=config.mode != "configured",
        root_token=options.dev_root_token_id or "",
        accept_rollback=options.accept_rollback,
    )
    notice: list[str] = []
    try:
        notice = _open(server)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(server, notice))
    except Exception:
        if config.mode == "local" and notice:  # of a store made just now: its recovery key is not shown again
            print(*notice, sep="\n", flush=True)  # noqa: T201 - the operator's console
        raise
    finally:
        server.close()


def _take_open_files() -> None:
    """Every connection is an open file, and the usual soft limit of 1,024 is meant for other programs: take what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settings(options: ServerOptions) -> Config:
    if options.config is not None:
        config = configuration.load(options.config)
        if options.listen:
            config.listeners[0].address = options.listen
    elif options.dev:
        _check_root_token(options.dev_root_token_id or "")
        config = Config(
            mode="development",
            storage="memory",
            storage_type="inmem",
            listeners=[Listener(options.dev_listen_address or options.listen or "127.0.0.1:8200")],
        )
    else:
        config = local_config(options.data_dir, options.listen)
    config.log_level = (options.log_level or config.log_level).lower()
    if config.log_level not in LEVELS:
        raise Invalid(f"unknown log level {config.log_level!r}", hint=f"choose from {', '.join(LEVELS)}")
    return config


def _check_root_token(token: str) -> None:
    """A chosen token must fit into a header, and be none that would be looked for elsewhere than in the store."""
    if not re.fullmatch(r"[!-~]*", token, re.ASCII) or token.startswith(BATCH_PREFIX):
        raise Invalid(
            "the token that --dev-root-token-id names could not be used",
            hint=f"choose printable ASCII characters without a space, not beginning with {BATCH_PREFIX}",
        )


def _open(server: Assembled) -> list[str]:
    """Step 4. Returns what to tell the operator."""
    return {"configured": _open_configured, "development": _open_development, "local": _open_local}[
        server.config.mode
    ](server)


def _open_configured(server: Assembled) -> list[str]:
    opening = server.opening
    if not opening.initialized:
        return ["The store is not initialised: run `ml-secrets operator init`."]
    return _open_by_itself(opening)


def _open_by_itself(opening: Opening) -> list[str]:
    """Without its key the store stays sealed, and is served so: that is where recovery keys are given."""
    try:
        opening.open_automatically()
    except KeyLost as error:
        _log.error("%s", error)
        return ["The store is sealed: run `ml-secrets operator unseal` with recovery keys."]
    return ["The store is sealed: run `ml-secrets operator unseal`."] if opening.sealed else []


def _open_development(server: Assembled) -> list[str]:
    made = server.opening.initialize({"secret_shares": 1, "secret_threshold": 1})
    server.opening.unseal(made["keys_base64"][0], reset=False)
    return [
        "Development server: in memory, unsealed, plain HTTP. Everything is gone when it stops; never use it for real secrets.",
        "",
        f"Unseal Key: {made['keys_base64'][0]}",
        f"Root Token: {made['root_token']}",
    ]


def _open_local(server: Assembled) -> list[str]:
    """Whoever may read the key file owns the store: where that user has no token (any more), a new one is made."""
    if not server.opening.initialized:
        made = server.opening.initialize({"recovery_shares": 1, "recovery_threshold": 1})
        return [
            f"A new store was made in {server.config.path}, sealed with the key file {server.config.key_file}.",
            "Keep the recovery key in a safe place; it is shown only now, and opens the store if the key file is lost:",
            f"    {made['recovery_keys_base64'][0]}",
            f"You are logged in: the root token is in {keep_token(made['root_token'])} (readable by you only).",
        ]
    if sealed := _open_by_itself(server.opening):
        return sealed
    token = stored_token()
    if token is not None:
        return [] if server.knows(token) else _not_ours(server.config)
    return [
        f"You are logged in: a new root token is in {keep_token(server.new_root_token())} (readable by you only)."
    ]


def _not_ours(config: Config) -> list[str]:
    """The clients present a token of another server, or one that has ended: it is its owner's to move."""
    here = config.listeners[0].url
    return [
        f"You are not logged in here: the token in {token_path()} is none of this store's (any more).",
        f"Log in with `ml-secrets login --address {here}`; or move that file away and start again: a new root token is made.",
    ]


async def _serve(server: Assembled, notice: list[str]) -> int:
    loop, edge = asyncio.get_running_loop(), Edge(server.pipeline)
    listening = Listening(edge, server.config.listeners)
    failed = asyncio.Event()

    def fail() -> None:
        failed.set()
        listening.stop()

    def fail_from_any_thread() -> None:
        loop.call_soon_threadsafe(fail)

    server.on_fault = fail_from_any_thread
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listening.stop)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        server.house.devices.reopen()
        task = asyncio.ensure_future(listening.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    jobs = [*server.jobs(), server.deliveries()]
    quick, slow = (Ticker(job for job in jobs if job.takes_long is long) for long in (False, True))
    quick.start()
    slow.start()
    try:
        with _announced(server.config):
            await listening.serve(lambda: _tell(server.config, notice))
    finally:
        await loop.run_in_executor(None, quick.stop)
        if not server.opening.sealed:
            server.opening.seal()  # what takes long ends at once
        await loop.run_in_executor(None, slow.stop)
        edge.close()
    return 1 if failed.is_set() else 0


def _announced(config: Config) -> contextlib.AbstractContextManager[None]:
    return announced(config) if config.mode == "local" else contextlib.nullcontext()


def _tell(config: Config, notice: list[str]) -> None:
    addresses = ", ".join(f"{one.scheme}://{one.address}" for one in config.listeners)
    print(f"ml-secrets {own_version()} listens on {addresses}", *notice, sep="\n", flush=True)  # noqa: T201 - the operator's console
