"""The verbs of `ml-secrets audit` that read log files: verify, tail, report. Only `verify --device` asks a server.

A log holds no secret values: those are hashes there. The verification key could forge a log, so it comes from a file or
from the server, is never printed here, and belongs off the machine that the log is on.
"""

from __future__ import annotations

import binascii
import os
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from ml_secrets.cli import output
from ml_secrets.cli.arguments import file_text
from ml_secrets.cli.command import Command
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ml_secrets.cli.command import Noun
    from ml_secrets.domain.audit_log import Filter, Row, Tally

_HEADER: Final = ("Time", "Who", "Operation", "Path", "From", "Allowed", "Why not")
_REPORT: Final = ("Who", "Operation", "Path", "Times", "Denied", "Failed", "From", "First", "Last")
_PAUSE: Final = 0.3
_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


def declare(audit: Noun) -> None:
    """Give the noun `audit` its verbs on logs."""
    for command in (verify, tail, report):
        audit.add_command(command)


@click.command(
    "verify",
    cls=Command,
    example="ml-secrets audit verify --key-file audit.key audit.log\nml-secrets audit verify --device file audit.log.1 audit.log",
)
@click.option("--key-file", metavar="FILE", help="The verification key, in hex.")
@click.option(
    "--device",
    metavar="PATH",
    help="Ask the server for the key of this device, and for how far its log must reach.",
)
@click.argument("files", nargs=-1, required=True, type=_FILES)
@session
def verify(run: Session, files: tuple[Path, ...], key_file: str | None, device: str | None) -> int:
    """Check that no line of a log is missing, changed or out of place (files: oldest first).

    Without a key only accidents and clumsy edits show. Exit code: 0 intact, 1 not.
    """
    from ml_secrets.domain.audit_chain import Head  # noqa: PLC0415 - only here
    from ml_secrets.domain.audit_chain import verify as check  # noqa: PLC0415 - as above

    head = None
    keys = [_key(file_text(key_file), key_file)] if key_file else []
    if device:
        name = device.strip("/")
        keys.append(
            _key(
                str(run.read(f"sys/audit-verification-key/{name}").data.get("key", "")), "the server's answer"
            )
        )
        known = run.read(f"sys/audit-head/{name}").data
        head = Head(int(known["seq"]), str(known["hash"]))
    verdict = check([(str(path), read_lines(path)) for path in files], keys=keys, head=head)
    problem = verdict.problem
    document = {
        "intact": verdict.intact,
        "checked_with_key": verdict.keyed,
        "lines": verdict.lines,
        "last_record": verdict.head.seq,
        "notes": verdict.notes,
        "problem": {"file": problem.file, "line": problem.line, "what": problem.what} if problem else None,
    }
    run.show(document, _verdict_text(document))
    return output.OK if verdict.intact else output.LOCAL


def _verdict_text(document: dict[str, Any]) -> str:
    problem = document["problem"]
    if problem:
        return f"NOT intact: {problem['file']}, line {problem['line']}: {problem['what']}"
    lines = [f"Intact: {document['lines']} lines, up to record {document['last_record']}"]
    lines += [f"note: {note}" for note in document["notes"]]
    if not document["checked_with_key"]:
        lines.append(
            "note: checked without a key, so a careful forger would not show; add --key-file or --device"
        )
    return "\n".join(lines)


def _key(text: str, source: str | None) -> bytes:
    try:
        key = binascii.unhexlify(text.strip())
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise LocalError(
            f"{source} holds no verification key",
            hint="it is one line of hex: ml-secrets read --field key sys/audit-verification-key/DEVICE",
        )
    return key


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose requests."""
    for option in (
        click.option("--path", metavar="PREFIX", default="", help="Only paths that begin so."),
        click.option(
            "--who", metavar="NAME", default="", help="Only this display name, entity, or hash of a token."
        ),
        click.option(
            "--since",
            metavar="TIME",
            callback=_moment,
            help="Only from then on: 2026-11-25, or 2026-11-25T10:30Z.",
        ),
        click.option("--until", metavar="TIME", callback=_moment, help="Only before then."),
        click.option("--denied", is_flag=True, help="Only what was not allowed."),
    ):
        function = option(function)
    return function


def _moment(context: click.Context, option: click.Parameter, text: str | None) -> float | None:  # noqa: ARG001 - click's signature
    """Seconds since 1970; a time without a zone is UTC, as in the log."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write a date or time as in 2026-11-25T10:30Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _wanted(chosen: dict[str, Any]) -> Filter:
    from ml_secrets.domain.audit_log import Filter  # noqa: PLC0415 - help and completion do without

    return Filter(
        path=chosen["path"],
        who=chosen["who"],
        since=chosen["since"],
        until=chosen["until"],
        allowed=False if chosen["denied"] else None,
    )


@click.command(
    "tail",
    cls=Command,
    example="ml-secrets audit tail -n 20 audit.log\nml-secrets audit tail --follow --denied audit.log",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with new records until stopped.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many requests to begin with.",
)
@_filters
@click.argument("file", type=_FILES)
@session
def tail(run: Session, file: Path, lines: int, *, follow: bool, **chosen: Any) -> None:
    """Show the last requests of a log: who, what, when, from where, allowed or not."""
    from ml_secrets.domain.audit_log import rows  # noqa: PLC0415 - as above

    wanted = _wanted(chosen)
    with file.open("rb") as log:
        shown = deque((row for row in rows(_whole_lines(log)) if wanted.admits(row)), maxlen=lines)
        run.show([_document(row) for row in shown], output.table(_HEADER, [_cells(row) for row in shown]))
        for row in rows(_grow(file, log)) if follow else ():
            if wanted.admits(row):
                click.echo(_line(row, as_json=run.chosen_format() != "table"))


def _whole_lines(log: BinaryIO) -> Iterator[bytes]:
    """The lines of a log, one at a time: it may be larger than memory. Stops before one that is still being written."""
    for line in log:
        if not line.endswith(b"\n"):
            log.seek(-len(line), os.SEEK_CUR)
            return
        yield line.rstrip(b"\n")


def _cells(row: Row) -> tuple[str, ...]:
    allowed = "yes" if row.allowed else "NO"
    trouble = row.reason or row.error or ("no response recorded" if row.outcome == "unfinished" else "-")
    return (
        row.time[:19],
        row.who or "-",
        row.operation or "-",
        row.path or "-",
        row.address or "-",
        allowed,
        " ".join(trouble.split()),
    )


def _document(row: Row) -> dict[str, Any]:
    return {**_plain(row), "allowed": row.allowed, "identities": sorted(row.identities)}


def _plain(struct: Row | Tally) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - as above

    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain


def _line(row: Row, *, as_json: bool) -> str:
    return output.as_line(_document(row)) if as_json else output.visible("    ".join(_cells(row)))


def _grow(file: Path, log: BinaryIO) -> Iterator[bytes]:
    """New whole lines, from where the log was read to; when the file is rotated or cut short, those of the new one."""
    rest = b""
    while True:
        another = _is_another(
            file, log
        )  # before reading, so that the last lines of the old file are read, too
        *whole, rest = (rest + log.read()).split(b"\n")
        yield from whole
        if another:
            log.close()
            log, rest = file.open("rb"), b""
        else:
            time.sleep(_PAUSE)


def _is_another(file: Path, log: BinaryIO) -> bool:
    try:
        now = file.stat()
    except FileNotFoundError:  # between the two steps of a rotation
        return False
    return now.st_ino != os.fstat(log.fileno()).st_ino or now.st_size < log.tell()


@click.command(
    "report",
    cls=Command,
    example="ml-secrets audit report --path secret/data/app/db audit.log\nml-secrets audit report --since 2026-11-01 --format json audit.log.1 audit.log",
)
@_filters
@click.argument("files", nargs=-1, required=True, type=_FILES)
@session
def report(run: Session, files: tuple[Path, ...], **chosen: Any) -> None:
    """Sum up who did what to which path: how often, refusals, from where, first and last time."""
    from ml_secrets.domain.audit_log import rows, tally  # noqa: PLC0415 - as above

    wanted = _wanted(chosen)
    found = tally(row for row in _records(run, rows(_lines(files))) if wanted.admits(row))
    cells = [
        (
            one.who,
            one.operation,
            one.path,
            str(one.times),
            str(one.denied),
            str(one.failed),
            ", ".join(one.addresses) or "-",
            one.first[:19],
            one.last[:19],
        )
        for one in found
    ]
    run.show(
        [_plain(one) for one in found],
        output.table(_REPORT, cells) if cells else "No request fits",
    )


def _records(run: Session, found: Iterable[Row]) -> Iterator[Row]:
    """The rows that are records; how many lines are none is told in the end: it may be the wrong file, or a damaged one."""
    others = 0
    for row in found:
        if row.outcome == "unreadable":
            others += 1
        else:
            yield row
    if others:
        run.note(f"warning: {others} lines are no record of an audit log; see ml-secrets audit verify")


def _lines(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        yield from read_lines(file)


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, with their ends."""
    with path.open("rb") as file:
        yield from file
