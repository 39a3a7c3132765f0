"""`ml-secrets events webhook`: other programs' URLs that the server tells of changes of secrets.

A URL often holds a key of its own: it may come from a file or stdin, and lists show no more than its host.
"""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlsplit

import click

from ml_secrets.cli import arguments, output
from ml_secrets.cli.command import Noun
from ml_secrets.cli.events_which import of_changes
from ml_secrets.cli.session import Session, session
from ml_secrets.errors import NotFound

_PATIENCE: Final = 20.0
_EVERY: Final = 0.2


@click.group(
    "webhook",
    cls=Noun,
    example="ml-secrets events webhook add reloader https://hooks.example.com/ml-secrets\nml-secrets events webhook test reloader",
)
def webhook() -> None:
    """Have other programs told of changes of secrets."""


@webhook.verb(
    "add",
    example="ml-secrets events webhook add reloader https://hooks.example.com/ml-secrets\nml-secrets events webhook add chat @url.txt --path secret/team-a --kind expired",
)
@of_changes
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option("--rotate-key", is_flag=True, help="Make a new key to sign with.")
@click.argument("name")
@click.argument("url")
@session
def add(
    run: Session,
    name: str,
    url: str,
    path: str,
    kinds: tuple[str, ...],
    description: str,
    *,
    rotate_key: bool,
) -> None:
    """Add a webhook, or replace the one of that name; one that was given up is tried again.

    The URL may be @file or - for stdin. The key that notifications are signed with is shown once.
    """
    fields = {
        "url": arguments.text("url", url).strip(),
        "path": path,
        "kinds": list(kinds),
        "description": description,
        "rotate_key": rotate_key,
    }
    made = run.write(f"sys/webhooks/{name}", fields, wrap=True).data
    if made:
        run.show(made)
        run.note("keep the key where the receiver finds it: it is not shown again")
    else:
        run.done(f"Replaced the webhook {name}; its key is as before")


@webhook.verb("list", example="ml-secrets events webhook list")
@session
def list_(run: Session) -> None:
    """List the webhooks, with how they are doing."""
    try:
        names = run.keys("sys/webhooks")
    except NotFound:
        names = []
    found = {name: _described(run, name) for name in names}
    header = ("Name", "To", "Kinds", "Path", "State", "Waiting")
    rows = [(name, *(output.cell(value) for value in one.values())) for name, one in found.items()]
    run.show(found, output.table(header, rows) if rows else "There are no webhooks")


def _described(run: Session, name: str) -> dict[str, Any]:
    hook = run.read(f"sys/webhooks/{name}").data
    status = run.read(f"sys/webhooks/{name}/status").data
    to = urlsplit(hook["url"])
    failing = f"failing: {status['last_error']}" if status["failures"] else "fine"
    return {
        "to": f"{to.scheme}://{to.netloc}",
        "kinds": hook["kinds"],
        "path": hook["path"],
        "state": failing if status["enabled"] else "given up",
        "waiting": status["waiting"],
    }


@webhook.verb("remove", example="ml-secrets events webhook remove reloader")
@click.argument("name")
@session
def remove(run: Session, name: str) -> None:
    """Remove a webhook, with all that still waits for it."""
    run.delete(f"sys/webhooks/{name}")
    run.done(f"Removed the webhook {name}, if it was there")


@webhook.verb("status", example="ml-secrets events webhook status reloader")
@click.argument("name")
@session
def status(run: Session, name: str) -> None:
    """Show how the deliveries of a webhook go: what waits, what failed and when it is tried again."""
    run.show(run.read(f"sys/webhooks/{name}/status").data)


@webhook.verb("test", example="ml-secrets events webhook test reloader")
@click.argument("name")
@session
def test(run: Session, name: str) -> int:
    """Have a test sent, and tell whether it arrived. Exit code: 0 it did, 2 it did not."""
    id_ = run.write(f"sys/webhooks/{name}/test").data["id"]
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        found = run.read(f"sys/webhooks/{name}/status").data["test"]
        if found and found["id"] == id_:
            run.show(found, "Delivered" if found["delivered"] else f"Not delivered: {found['error']}")
            return output.OK if found["delivered"] else output.SERVER
        time.sleep(_EVERY)
    run.note("not sent yet: ask for its status later")
    return output.SERVER
