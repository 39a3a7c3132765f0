"""What the command is given: files, an environment, standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_secrets.agent.files import File
from ml_secrets.agent.job import file_name
from ml_secrets.agent.run.guardian import MARK
from ml_secrets.agent.run.order import JOB_TOKEN_FILE, TOKEN_VARIABLES
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.job import Delivery
    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.run.order import Order
    from ml_secrets.sensitive import Sensitive

    Values = Mapping[Reference, Value]


def file_of(delivery: Delivery, values: Values) -> File:
    """A file as it is to be now."""
    return File(delivery.name, delivery.content.filled(values), delivery.mode, delivery.owner)


def token_file(token: Sensitive) -> File:
    """The command's own token, where the SDK looks for it."""
    return File(file_name(JOB_TOKEN_FILE), token)


def surroundings(ours: Mapping[str, str], mark: str, *, own_token: bool = False) -> dict[str, str]:
    """Our variables without our token; and the run's mark, by which the guardian finds what has it."""
    kept = {name: text for name, text in ours.items() if own_token or name not in TOKEN_VARIABLES}
    return {**kept, MARK: f"{ours[MARK]} {mark}" if ours.get(MARK) else mark}


def environment(
    order: Order, ours: Mapping[str, str], mark: str, values: Values, paths: Mapping[str, str]
) -> dict[str, str]:
    """Our surroundings; then what was asked for: paths of files by their names, and variables that hold values."""
    around = surroundings(ours, mark, own_token=order.own_token)
    named = {one.variable: paths[one.name] for one in order.job.of("file")}
    if order.job_token:
        named[JOB_TOKEN_FILE] = paths[file_name(JOB_TOKEN_FILE)]
    held = {one.variable: _text(one, values) for one in order.job.of("env")}
    return {**around, **held, **named, MARK: around[MARK]}


def _text(delivery: Delivery, values: Values) -> str:
    try:
        text = delivery.content.filled(values).reveal()
    except ValueError:
        text = "\0"
    if "\0" in text:
        del text
        raise Invalid(
            f"what {delivery.variable} is to hold is no text that a variable can have",
            hint="hand it over as a file: --file",
        )
    return text
