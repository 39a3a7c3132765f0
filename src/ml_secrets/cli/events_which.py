"""The options that say which changes: of `events tail` and of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def of_changes(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options --path and --kind: which changes."""
    kind = click.option(
        "--kind", "kinds", multiple=True, metavar="KIND", help="Only this kind of change; may be repeated."
    )
    path = click.option(
        "--path", default="", metavar="PATH", help="Only at or below this path, mount first: secret/team-a."
    )
    return path(kind(function))
