"""Completion of KV paths from the server: quick or not at all, and silent whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_PATIENCE: Final = 0.6


def kv_paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Names in the folder that is being typed."""
    try:
        return _offers(ctx, incomplete)
    except Exception:  # noqa: BLE001 - a completion that fails offers nothing; a message would land in the middle of a command
        return []


def _offers(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - only while completing

    from ml_secrets.cli.connection import connect  # noqa: PLC0415 - loads the client
    from ml_secrets.cli.kv_place import find  # noqa: PLC0415 - as above
    from ml_secrets.cli.session import Session  # noqa: PLC0415 - as above

    run = ctx.ensure_object(Session)
    run.use(connect(run, timeout=_PATIENCE))
    folder, _, start = incomplete.rpartition("/")
    place = find(run, folder, ctx.params.get("mount"), whole_mount=True)
    found = [key for key in run.keys(place.keys) if key.startswith(start)]
    while len(found) == 1 and found[0].endswith("/"):  # shells put a space behind a single offer
        found = [found[0] + key for key in run.keys(place.below(found[0]).keys)]
    lead = f"{folder}/" if folder else ""
    return [CompletionItem(lead + key) for key in found]
