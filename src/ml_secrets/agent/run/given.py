"""What the command is given: files, an environment, standard input; and the texts that must not be seen in what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_secrets.agent.files import File
from ml_secrets.agent.job import file_name
from ml_secrets.agent.run.guardian import MARK
from ml_secrets.agent.run.order import JOB_TOKEN_FILE, TOKEN_VARIABLES
from ml_secrets.client.encoding import decode
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_secrets.agent.gather import Value
    from ml_secrets.agent.job import Delivery
    from ml_secrets.agent.reference import Reference
    from ml_secrets.agent.run.order import Order

    Values = Mapping[Reference, Value]


def file_of(delivery: Delivery, values: Values) -> File:
    """A file as it is to be now."""
    return File(delivery.name, delivery.content.filled(values), delivery.mode, delivery.owner)


def token_file(token: Sensitive) -> File:
    """The command's own token, where the SDK looks for it."""
    return File(file_name(JOB_TOKEN_FILE), token)


def environment(
    order: Order, ours: Mapping[str, str], mark: str, values: Values, paths: Mapping[str, str]
) -> dict[str, str]:
    """Ours without our token; then what was asked for: paths of files by their names, and variables that hold values."""
    kept = {name: text for name, text in ours.items() if order.own_token or name not in TOKEN_VARIABLES}
    marks = f"{ours[MARK]} {mark}" if ours.get(MARK) else mark
    named = {one.variable: paths[one.name] for one in order.job.of("file")}
    if order.job_token:
        named[JOB_TOKEN_FILE] = paths[file_name(JOB_TOKEN_FILE)]
    held = {one.variable: _text(one, values) for one in order.job.of("env")}
    return {**kept, **held, **named, MARK: marks}


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


def texts_of(reference: Reference, value: Sensitive) -> Iterator[Sensitive]:
    """The value; and where it is several fields in one JSON object, each text and number in it."""
    yield value
    if len(reference.fields) != 1:
        yield from _leaves(decode(value))


def _leaves(tree: Any) -> Iterator[Sensitive]:
    match tree:
        case dict():
            for part in tree.values():
                yield from _leaves(part)
        case list():
            for part in tree:
                yield from _leaves(part)
        case str():
            yield Sensitive(tree)
        case int() | float() if not isinstance(tree, bool):
            yield Sensitive(str(tree))
