"""Webhooks: other programs' URLs that are told of changes of secrets (registry/webhooks.py, upkeep/deliver.py).

Who may write them has every change told to wherever they say, whatever their rights to the secrets: so all of it needs
`sudo`. A URL often holds a key of its own: the audit log has its hash, and no error repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from ml_secrets.contract import Context, Help, Response, Strings
from ml_secrets.contract.names import named
from ml_secrets.domain.instant import rfc3339
from ml_secrets.domain.outbound import allows, read_networks, read_url
from ml_secrets.domain.path import resource_name
from ml_secrets.engines.system.engine import ENGINE
from ml_secrets.errors import Invalid, NotFound
from ml_secrets.registry.changes import KINDS, wanted

if TYPE_CHECKING:
    from ml_secrets.registry.webhooks import State, Webhook

Url = Annotated[str, Help("Where to POST to: https://…; http:// only for this machine.")]
Kinds = Annotated[
    Strings, Help(f"Kinds of change to tell of, with commas between; none or * is all: {', '.join(KINDS)}.")
]
Path = Annotated[
    str, Help("Only secrets at or below this path, which begins with their mount: secret/team-a.")
]
Rotate = Annotated[bool, Help("Make a new key to sign with. The old one is gone at once.")]

_ALL: Final = Strings(())
_LONGEST: Final = 512
_PLAIN: Final = ("kinds", "path", "description", "rotate_key")


@ENGINE.list("webhooks", sudo=True)
def list_webhooks(ctx: Context) -> Response | None:
    """List the webhooks."""
    return named([hook.name for hook in ctx.access.webhooks.all(ctx.unit)])


@ENGINE.read("webhooks/{name}", folded=("name",), sudo=True, plain_response=("kinds", "path", "description"))
def read_webhook(ctx: Context, name: str) -> Response | None:
    """Show a webhook, without its key."""
    hook = ctx.access.webhooks.find(ctx.unit, name)
    return None if hook is None else Response(_shown(hook))


@ENGINE.write("webhooks/{name}", folded=("name",), sudo=True, plain=_PLAIN)
def write_webhook(
    ctx: Context,
    name: str,
    url: Url,
    kinds: Kinds = _ALL,
    path: Path = "",
    description: str = "",
    rotate_key: Rotate = False,
) -> Response | None:
    """Make or replace a webhook. One that was given up is tried again.

    The answer to its making, or to `rotate_key`, has the key that notifications are signed with; it is not shown again.
    """
    if max(len(path), len(description)) > _LONGEST:
        raise Invalid(f"path and description have at most {_LONGEST} characters")
    _check_address(ctx, url)
    is_new = ctx.access.webhooks.find(ctx.unit, name) is None
    hook = ctx.access.webhooks.write(
        ctx.unit,
        resource_name(name, what="webhook name"),
        url=url,
        wanted=wanted(kinds, path),
        description=description,
        new_key=is_new or rotate_key,
    )
    return Response({"key": hook.key}) if is_new or rotate_key else None


def _check_address(ctx: Context, url: str) -> None:
    """An address that is written as such is refused here; what a name stands for, with each call."""
    literal = read_url(url).literal
    if literal is not None and not allows(literal, read_networks(ctx.access.settings.outbound_networks)):
        raise Invalid(
            "the URL's address is not public",
            hint="the server's configuration has to allow its network: outbound_networks",
        )


@ENGINE.delete("webhooks/{name}", folded=("name",), sudo=True)
def delete_webhook(ctx: Context, name: str) -> None:
    """Remove a webhook, with all that still waits for it."""
    ctx.access.webhooks.delete(ctx.unit, name)


@ENGINE.read("webhooks/{name}/status", folded=("name",), sudo=True, plain_response=("note", "last_error"))
def read_status(ctx: Context, name: str) -> Response | None:
    """Show how the deliveries of a webhook go: what waits, what failed and when it is tried again."""
    hook = ctx.access.webhooks.find(ctx.unit, name)
    return None if hook is None else Response(_status(ctx.access.webhooks.state(ctx.unit, hook)))


@ENGINE.write("webhooks/{name}/test", folded=("name",), sudo=True, plain_response=("id",))
def test_webhook(ctx: Context, name: str) -> Response:
    """Have a test sent now, whatever waits. Its outcome stands in the status, under this id."""
    hook = ctx.access.webhooks.find(ctx.unit, name)
    if hook is None:
        raise NotFound(hint="list what is there: LIST sys/webhooks")
    return Response({"id": ctx.access.webhooks.ask_test(ctx.unit, hook)})


def _shown(hook: Webhook) -> dict[str, Any]:
    return {
        "url": hook.url,
        "kinds": list(hook.wanted.kinds) or ["*"],
        "path": hook.wanted.path,
        "description": hook.description,
        "created_time": rfc3339(hook.created),
    }


def _status(state: State) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "enabled": not state.disabled,
        "note": state.disabled,
        "waiting": state.waiting,
        "delivered": state.delivered,
        "missed": state.missed,
        "failures": state.failures,
        "next_try": _moment(state.try_at),
        "last_delivery": _moment(state.last_delivery),
        "last_failure": _moment(state.last_failure),
        "last_error": state.last_error,
        "test": None,
    }
    if state.test is not None:
        test = state.test
        shown["test"] = {
            "id": test.id,
            "delivered": test.delivered,
            "error": test.error,
            "time": _moment(test.at),
        }
    return shown


def _moment(seconds: float) -> str:
    return rfc3339(seconds) if seconds else ""
