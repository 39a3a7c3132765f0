"""An agent's configuration in our TOML.

    poll = "10s"                       how often a server is asked that cannot tell of changes
    stale-limit = "24h"                how long what was fetched is good while the server is away
    when-stale = "keep"                or "remove": shred the files then
    once = false                       end when all is written
    pid-file = "/run/app/agent.pid"

    [server]                           else what the surroundings say, as for every command
    address = "https://secrets.example.org:8200"        also namespace, cacert, client-cert, client-key, verify = false

    [login]                            else the token of the surroundings
    method = "approle"                 token (token-file), approle, userpass (username, password-file)
    mount = "approle"
    role-id-file = "/etc/app/role-id"
    secret-id-file = "/run/app/secret-id"
    remove-secret-id-file = true
    patience = "60s"                   the longest pause between two tries; once = true: a single try

    [[template]]
    source = "db.env.j2"               or contents = '''…'''; dialect = "go" for a Vault agent's
    path = "/run/app/db.env"
    mode = "0400"
    owner = "app:app"
    on-disk = false
    on-change = "HUP"                  a signal to the program below or to that of pid-file, "restart", or a command as a list
    pid-file = "/run/nginx.pid"
    timeout = "30s"                    for a command

    [[sink]]                           the agent's token
    path = "/run/app/token"            also mode, owner, on-disk
    wrap-ttl = "5m"

    [exec]
    command = ["python", "serve.py"]
    restart = "on-failure"             or "always", "never"
    on-change = "restart"              or a signal: what it gets when a variable below changed
    stop-signal = "TERM"
    stop-timeout = "10s"
    [exec.env]
    WANDB_API_KEY = '{{ secret("team-a/wandb").key }}'

    [[listener]]
    socket = "/run/app/agent.sock"     or tcp = "127.0.0.1:8100"
    mode = "0600"                      also owner; of a socket
    users = ["app"]                    who may ask, beside this user and root; ["*"] is anybody that gets there
    proxy = true                       the server's API, with the agent's token; false: health alone
    hosts = ["secrets.local"]          names beside localhost that Host may have
    quit = false                       POST /agent/v1/quit

    [aws]                              the local endpoint of the AWS Secrets Manager Agent
    listen = "127.0.0.1:2773"
    token-file = "/run/app/aws-token"  what callers have to show; made where it is missing
    mount = "secret"                   also mode, owner and on-disk of that file; users; path-prefix = "/v1/"

Paths are relative to the file. Durations are "90s", "5m", "1h" or a number of seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ml_secrets.agent import job
from ml_secrets.agent.resident import config as c
from ml_secrets.agent.resident import go
from ml_secrets.agent.resident.reading import Table
from ml_secrets.agent.resident.template import Template
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RESTARTS: Final = ("on-failure", "always", "never")


def read(tree: dict[str, Any], folder: Path) -> c.Config:
    """A parsed file as what is asked for. Raises `Invalid` that names the setting."""
    top = Table(tree, "", folder)
    config = c.Config(
        server=_server(top.table("server")),
        method=_method(top.table("login")),
        sinks=tuple(_sink(one) for one in top.tables("sink")),
        wanted=tuple(_wanted(one) for one in top.tables("template")),
        program=_maybe(top, "exec", _program),
        listeners=tuple(_listener(one) for one in top.tables("listener")),
        aws=_maybe(top, "aws", _aws),
        poll=top.seconds("poll", c.POLL),
        stale=top.seconds("stale-limit", c.STALE),
        remove_stale=top.one_of("when-stale", ("keep", "remove")) == "remove",
        once=top.truth("once"),
        pid_file=top.path("pid-file"),
    )
    top.finish()
    return config


def _maybe(top: Table, name: str, read: Callable[[Table], Any]) -> Any:
    return read(top.table(name)) if name in top else None


def _server(table: Table) -> c.Server:
    found = c.Server(
        address=table.text("address"),
        namespace=table.text("namespace"),
        cacert=str(table.path("cacert") or ""),
        client_cert=str(table.path("client-cert") or ""),
        client_key=str(table.path("client-key") or ""),
        verify=table.truth("verify", default=True),
    )
    table.finish()
    return found


def _method(table: Table) -> c.Method:
    name, mount = table.text("method", "token"), table.text("mount").strip("/")
    patience, once = table.seconds("patience", 60.0), table.truth("once")
    options = {key: table.option(key) for key in table.rest()}
    return c.Method(name, mount, options, patience, once)


def _place(table: Table, name: str = "path") -> c.Place:
    return c.Place(
        table.needed_path(name),
        job.mode_of(table.text("mode", "0400"), table.at("mode")),
        _owner(table),
        table.truth("on-disk"),
    )


def _owner(table: Table) -> tuple[int, int] | None:
    owner = table.text("owner")
    return job.owner_of(owner, table.at("owner")) if owner else None


def _sink(table: Table) -> c.Sink:
    found = c.Sink(_place(table), table.text("wrap-ttl"))
    table.finish()
    return found


def _wanted(table: Table) -> c.Wanted:
    change = table.take("on-change")
    found = c.Wanted(
        _template(table),
        _place(table),
        job.Change() if change is None else job.change_of(change, table.at("on-change")),
        table.path("pid-file"),
        table.seconds("timeout", c.COMMAND_SECONDS),
    )
    table.finish()
    return found


def _template(table: Table) -> Template:
    source, contents = table.path("source"), table.text("contents")
    if (source is None) == (not contents):
        raise Invalid(f"{table.where}: it takes one of source and contents", hint='source = "db.env.j2"')
    shown = table.at("contents") if source is None else str(source)
    text = contents if source is None else table.content_of(source)
    dialect = table.one_of("dialect", ("jinja", "go"))
    return Template(go.converted(text, shown) if dialect == "go" else text, shown)


def _program(table: Table) -> c.Program:
    change = table.take("on-change", "restart")
    variables = table.table("env")
    found = c.Program(
        tuple(table.texts("command")),
        {
            job.variable(name, table.at("env")): Template(variables.text(name), variables.at(name))
            for name in variables.rest()
        },
        table.one_of("restart", _RESTARTS),
        job.change_of(change, table.at("on-change")),
        job.change_of(table.text("stop-signal", "TERM"), table.at("stop-signal")).signal,
        table.seconds("stop-timeout", 10.0),
    )
    if not found.command or found.change.command:
        raise Invalid(f"{table.where}: it takes a command as a list, and a signal or restart on a change")
    table.finish()
    return found


def _listener(table: Table) -> c.Listener:
    found = c.Listener(
        socket=table.path("socket"),
        tcp=table.text("tcp"),
        proxy=table.truth("proxy", default=True),
        mode=job.mode_of(table.text("mode", "0600"), table.at("mode")),
        owner=_owner(table),
        users=_users(table),
        hosts=tuple(table.texts("hosts")),
        quit=table.truth("quit"),
    )
    if (found.socket is None) == (not found.tcp):
        raise Invalid(f"{table.where}: it takes one of socket and tcp", hint='tcp = "127.0.0.1:8100"')
    table.finish()
    return found


def _users(table: Table) -> tuple[int, ...] | None:
    names = table.texts("users")
    if names == ["*"]:
        return None
    return tuple(number_of(name, table.at("users")) for name in names)


def number_of(name: str, where: str) -> int:
    """A user by name or number."""
    import pwd  # noqa: PLC0415 - rarely needed

    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise Invalid(
            f"{where}: there is no such user here", hint='write names or numbers, or ["*"] for anybody'
        ) from None


def _aws(table: Table) -> c.Aws:
    found = c.Aws(
        table.text("listen", "127.0.0.1:2773"),
        _place(table, "token-file"),
        table.text("mount", "secret").strip("/"),
        table.text("path-prefix", "/v1/"),
        _users(table),
    )
    table.finish()
    return found
