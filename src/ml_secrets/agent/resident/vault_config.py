"""A Vault or OpenBao agent's configuration, in HCL or JSON, for what it shares with ours.

A setting that would change what is done and that this agent does not know is refused by its name. What has no meaning here is left out, and
what is taken for less than it says (files for everybody) is noted; `ml-secrets agent check` shows both.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent import job
from ml_secrets.agent.resident import config as c
from ml_secrets.agent.resident import go
from ml_secrets.agent.resident.blocks import Block
from ml_secrets.agent.resident.template import Template
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

_HARMLESS: Final = (
    "log_level", "log_format", "log_file", "log_rotate_duration", "log_rotate_bytes", "log_rotate_max_files", "telemetry",
    "disable_idle_connections", "disable_keep_alives", "disable_mlock",
)  # fmt: skip
_METHODS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "approle": (
        "approle",
        {
            "role_id_file_path": "role-id-file",
            "secret_id_file_path": "secret-id-file",
            "remove_secret_id_file_after_reading": "remove-secret-id-file",
            "secret_id_response_wrapping_path": "secret-id-wrapped-at",
        },
    ),
    "token_file": ("token", {"token_file_path": "token-file"}),
}
"""Their names of methods and settings, and ours."""


def read(tree: dict[str, Any], folder: Path) -> c.Config:
    """A parsed file as what is asked for. Raises `Invalid` that names the setting."""
    return _Reading(Block(tree, "", folder)).config()


class _Reading:
    def __init__(self, top: Block) -> None:
        self._top = top
        self._notes: list[str] = []

    def config(self) -> c.Config:
        top = self._top
        auto, shared = top.block("auto_auth"), top.block("template_config")
        cached, proxied = top.block("cache"), top.block("api_proxy")
        own_token = cached.flag("use_auto_auth_token") or proxied.flag("use_auto_auth_token")
        proxied.finish(harmless=("enforce_consistency", "when_inconsistent"))
        program = self._program(top)
        poll = shared.seconds("static_secret_render_interval", c.POLL)
        shared.finish(
            harmless=("exit_on_retry_failure", "max_connections_per_host", "lease_renewal_threshold")
        )
        cached.finish(harmless=("persist", "cache_static_secrets", "disable_caching_dynamic_secrets"))
        found = c.Config(
            server=self._server(top.block("vault")),
            method=self._method(auto),
            sinks=tuple(self._sink(one) for one in auto.blocks("sink")),
            wanted=tuple(self._wanted(one) for one in top.blocks("template")),
            program=program,
            listeners=tuple(self._listener(one, own_token=own_token) for one in top.blocks("listener")),
            poll=poll,
            once=top.flag("exit_after_auth"),
            pid_file=top.path("pid_file"),
        )
        self._notes += [f"{name} is left out" for name in top.finish(harmless=_HARMLESS)]
        return replace(found, notes=tuple(self._notes))

    def _server(self, table: Block) -> c.Server:
        found = c.Server(
            address=table.text("address"),
            namespace=table.text("namespace"),
            cacert=str(table.path("ca_cert") or table.path("ca_path") or ""),
            client_cert=str(table.path("client_cert") or ""),
            client_key=str(table.path("client_key") or ""),
            verify=not table.flag("tls_skip_verify"),
        )
        table.finish(harmless=("retry",))
        return found

    def _method(self, auto: Block) -> c.Method:
        methods = list(auto.blocks("method"))
        if not methods:
            return c.Method()
        if len(methods) > 1:
            raise Invalid("auto_auth has more than one method", hint="keep one")
        table, kind = methods[0], methods[0].label
        if kind not in _METHODS:
            raise Invalid(f"there is no login method {kind!r} here", hint=f"known are {', '.join(_METHODS)}")
        name, names = _METHODS[kind]
        inner = table.block("config")
        odd = next((key for key in inner.rest() if key not in names), None)
        if odd is not None:
            raise Invalid(
                f"the method {kind} has no setting {odd!r} here", hint=f"known are {', '.join(names)}"
            )
        options = {names[key]: inner.option(key) for key in inner.rest()}
        mount = table.text("mount_path").removeprefix("auth/").strip("/")
        found = c.Method(name, mount, options, table.seconds("max_backoff", 60.0), table.flag("exit_on_err"))
        table.finish(harmless=("min_backoff", "name"))
        return found

    def _sink(self, table: Block) -> c.Sink:
        inner = table.block("config")
        if table.label not in {"", "file"}:
            raise Invalid(f"there is no sink {table.label!r} here", hint='sink "file"')
        place = c.Place(inner.needed_path("path"), self._mode(inner.take("mode", 640), inner), on_disk=True)
        inner.finish()
        found = c.Sink(place, table.duration_text("wrap_ttl"))
        table.finish(harmless=("derive_key",))
        return found

    def _wanted(self, table: Block) -> c.Wanted:
        user, group = table.text("user"), table.text("group")
        place = c.Place(
            table.needed_path("destination"),
            self._mode(table.take("perms", "0400"), table),
            job.owner_of(f"{user}:{group}" if group else user, table.at("user")) if user else None,
            on_disk=True,
        )
        command, seconds = self._command(table)
        found = c.Wanted(self._template(table), place, job.Change(command=tuple(command)), None, seconds)
        table.finish(
            harmless=(
                "error_on_missing_key",
                "backup",
                "create_dest_dirs",
                "wait",
                "function_denylist",
                "error_fatal",
            )
        )
        return found

    @staticmethod
    def _command(table: Block) -> tuple[list[str], float]:
        inner = table.block("exec")
        text, words = table.text("command"), inner.texts("command")
        seconds = inner.seconds("timeout", table.seconds("command_timeout", c.COMMAND_SECONDS))
        inner.finish()
        return (["sh", "-c", text] if text else words), seconds

    @staticmethod
    def _template(table: Block) -> Template:
        source, contents = table.path("source"), table.text("contents")
        if (source is None) == (not contents):
            raise Invalid(f"{table.where}: it takes one of source and contents")
        shown = table.at("contents") if source is None else str(source)
        text = contents if source is None else table.content_of(source)
        left, right = table.text("left_delimiter", "{{"), table.text("right_delimiter", "}}")
        return Template(go.converted(text, shown, left, right), shown)

    def _program(self, top: Block) -> c.Program | None:
        if "exec" not in top:
            return None
        table = top.block("exec")
        variables = {}
        for one in top.blocks("env_template"):
            variables[job.variable(one.label, one.where)] = self._template(one)
            one.finish(harmless=("error_on_missing_key",))
        restarts = table.text("restart_on_secret_changes", "always")
        if restarts not in {"always", "never"}:
            raise Invalid(f"{table.at('restart_on_secret_changes')} is neither always nor never")
        stop = table.text("restart_stop_signal", "TERM")
        found = c.Program(
            tuple(table.texts("command")),
            variables,
            "never",
            c.RESTART if restarts == "always" else c.NOTHING,
            job.change_of(stop, table.at("restart_stop_signal")).signal,
        )
        table.finish(harmless=("child_process_stdout", "child_process_stderr"))
        return found

    def _listener(self, table: Block, *, own_token: bool) -> c.Listener:
        kind, address = table.label, table.text("address")
        if not table.flag("tls_disable"):
            raise Invalid(
                f"{table.where}: a door on this machine speaks plain HTTP", hint="say tls_disable = true"
            )
        if kind not in {"unix", "tcp"}:
            raise Invalid(f"there is no listener {kind!r} here", hint='listener "unix" or listener "tcp"')
        api, mode = table.block("agent_api"), self._mode(table.take("socket_mode", "0600"), table)
        found = c.Listener(
            socket=table.absolute(address) if kind == "unix" else None,
            tcp=address if kind == "tcp" else "",
            own_token=own_token,
            mode=mode,
            owner=self._owner(table),
            users=None if kind == "tcp" or mode & 0o066 else (),
            header=table.flag("require_request_header", default=True),
            quit=api.flag("enable_quit"),
        )
        if kind == "tcp":
            self._notes.append(
                f"{table.where}: every user of this machine may ask there, as with Vault's agent; users = [...] in our own form names them"
            )
        api.finish()
        table.finish(harmless=("role",))
        return found

    @staticmethod
    def _owner(table: Block) -> tuple[int, int] | None:
        user, group = table.text("socket_user"), table.text("socket_group")
        if group and not user:
            user = str(os.geteuid())
        return job.owner_of(f"{user}:{group}" if group else user, table.at("socket_user")) if user else None

    def _mode(self, given: Any, table: Block) -> int:
        """Octal, with quotes or without. What others would have of a secret they do not get."""
        text = str(given)
        if not text.isdecimal() or set(text) - set("01234567") or int(text, 8) > 0o777:
            raise Invalid(f"{table.where}: the mode is not one in octal digits", hint='perms = "0400"')
        mode = int(text, 8)
        kept = mode & 0o660 | 0o400
        if kept != mode:
            self._notes.append(
                f"{table.where}: the mode {mode:04o} is taken for {kept:04o}: nobody else reads a secret"
            )
        return kept
