"""Completion of KV paths and references from the server: quick or not at all, and silent whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from ml_secrets.cli.session import Session

_PATIENCE: Final = 0.6
_SCHEME: Final = "secret://"


def kv_paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Names in the folder that is being typed."""
    try:
        return _offers(ctx, incomplete)
    except Exception:  # noqa: BLE001 - a completion that fails offers nothing; a message would land in the middle of a command
        return []


def references(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """What comes after `NAME=secret://`: mounts, then names in the folder that is being typed."""
    from urllib.parse import unquote  # noqa: PLC0415 - only while completing

    from click.shell_completion import CompletionItem  # noqa: PLC0415 - as above

    from ml_secrets.agent.reference import written  # noqa: PLC0415 - as above

    lead, scheme, path = incomplete.partition(_SCHEME)
    try:
        if not scheme:
            whole = "=" in incomplete and _SCHEME.startswith(incomplete.rpartition("=")[2])
            return [CompletionItem(incomplete[: incomplete.find("=") + 1] + _SCHEME)] if whole else []
        found = _offers(ctx, unquote(path)) if "/" in path else _mounts(ctx, path)
        return [CompletionItem(f"{lead}{scheme}{written(item.value)}") for item in found]
    except Exception:  # noqa: BLE001 - as above
        return []


def _mounts(ctx: click.Context, start: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only while completing

    seen = _session(ctx).read("sys/internal/ui/mounts").data.get("secret") or {}
    kinds = {mount: about.get("type") for mount, about in seen.items()}
    return [CompletionItem(m) for m in sorted(kinds) if m.startswith(start) and kinds[m] in {"kv", "generic"}]


def _session(ctx: click.Context) -> Session:
    from ml_secrets.cli.connection import connect  # noqa: PLC0415 - loads the client
    from ml_secrets.cli.session import Session  # noqa: PLC0415 - as above

    run = ctx.ensure_object(Session)
    run.use(connect(run, timeout=_PATIENCE))
    return run


def _offers(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only while completing

    from ml_secrets.cli.kv_place import find  # noqa: PLC0415 - loads the client

    run = _session(ctx)
    folder, _, start = incomplete.rpartition("/")
    place = find(run, folder, ctx.params.get("mount"), whole_mount=True)
    found = [key for key in run.keys(place.keys) if key.startswith(start)]
    while len(found) == 1 and found[0].endswith("/"):  # shells put a space behind a single offer
        found = [found[0] + key for key in run.keys(place.below(found[0]).keys)]
    lead = f"{folder}/" if folder else ""
    return [CompletionItem(lead + key) for key in found]
