"""What `secrets` and `auth` have in common: mounts are listed, enabled, tuned and disabled the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import arguments, output, terminal
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ml_secrets.cli.command import Noun

_LEASES = ("default_lease_ttl", "max_lease_ttl")
_SETTINGS = (
    click.option("--description", metavar="TEXT", help="What it is for."),
    click.option(
        "--default-lease-ttl", metavar="TTL", help="How long its leases and tokens live, when nobody says."
    ),
    click.option("--max-lease-ttl", metavar="TTL", help="How long they can live at most."),
    click.option(
        "--listing-visibility",
        type=click.Choice(("unauth", "hidden")),
        help="Whether it is listed to people without a token.",
    ),
    click.option(
        "--deletion-protected/--no-deletion-protected",
        default=None,
        help="Whether it cannot be disabled (ml-secrets servers).",
    ),
    click.option(
        "--trash-retention",
        metavar="TTL",
        help="How long it can be restored once it is disabled (ml-secrets servers).",
    ),
    click.option(
        "--options",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help="An option of the engine's own. May be repeated.",
    ),
)


def settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that enable and tune share."""
    for option in reversed(_SETTINGS):
        function = option(function)
    return function


def declare(noun: Noun, *, table: str, thing: str, example: str) -> None:
    """Give a noun its verbs list, disable and tune. `table` is the API's mount table, `example` a mount's path."""
    name = noun.name

    @noun.verb("list", example=f"ml-secrets {name} list")
    @session
    def list_(run: Session) -> None:
        """List what is enabled."""
        found = run.read(table).data
        run.show(
            found,
            output.table(
                ("Path", "Type", "Version", "Accessor", "Description"),
                [_row(path, found[path]) for path in sorted(found)],
            ),
        )

    @noun.verb("disable", example=f"ml-secrets {name} disable {example}")
    @click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    @click.argument("path")
    @session
    def disable(run: Session, path: str, *, yes: bool) -> None:
        """Disable it, and delete everything in it."""
        terminal.confirm(f"Delete everything in {_slash(path)} for good?", yes=yes)
        run.delete(f"{table}/{path.strip('/')}")
        run.done(f"Disabled the {thing} at {_slash(path)}, if it was there")

    @noun.verb(
        "tune",
        example=f"ml-secrets {name} tune {example} --default-lease-ttl 1h\nml-secrets {name} tune {example}",
    )
    @settings
    @click.argument("path")
    @session
    def tune(run: Session, path: str, **given: Any) -> None:
        """Change settings. Without options: show them."""
        target = f"{table}/{path.strip('/')}/tune"
        wanted = tuning(given)
        if wanted:
            run.write(target, wanted)
            run.done(f"Tuned the {thing} at {_slash(path)}")
        else:
            run.show_answer(run.read(target))


def enable(
    run: Session, *, table: str, thing: str, kind: str, path: str | None, given: dict[str, Any]
) -> None:
    """Enable an engine or login method at a path (default: its type's name)."""
    place = (path or kind).strip("/")
    config = {name: value for name, value in tuning(given).items() if name not in {"description", "options"}}
    body = {
        "type": kind,
        "description": given.pop("description") or "",
        "config": config,
        "options": _options(given.pop("options")) or None,
    }
    body |= {name: value for name, value in given.items() if name in {"local", "seal_wrap"}}
    run.write(f"{table}/{place}", body)
    run.done(f"Enabled the {thing} {kind} at {_slash(place)}")


def tuning(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, under the names of the API."""
    names = (*_LEASES, "description", "listing_visibility", "deletion_protected", "trash_retention")
    wanted: dict[str, Any] = {name: given[name] for name in names if given.get(name) is not None}
    if given.get("options"):
        wanted["options"] = _options(given["options"])
    return wanted


def _options(pairs: tuple[str, ...]) -> dict[str, Any]:
    return arguments.data(pairs)


def _row(path: str, mount: Mapping[str, Any]) -> tuple[str, ...]:
    version = (mount.get("options") or {}).get("version", "")
    return (
        path,
        mount.get("type", ""),
        output.cell(version),
        mount.get("accessor", ""),
        output.cell(mount.get("description")),
    )


def _slash(path: str) -> str:
    return path.strip("/") + "/"
