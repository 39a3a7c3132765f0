"""What a job needs, as it is declared in `ml-secrets.toml` or in `[tool.ml-secrets]` of `pyproject.toml`.

    together = true                                all files are exchanged at once, by one rename: what readers open are links
    env-file = ".env"                              variables: plain values, with references among them; or a list of files

    [files]                                        NAME = what its file holds; the variable NAME will hold the file's path
    DB_PASSWORD_FILE = "secret://team-a/db#password"
    DB_URL_FILE = "postgres://app:{{ secret://team-a/db#password }}@db/app"

    [files.TRAIN_CONFIG]                           the long form, with one of value, values and fill:
    value = "secret://team-a/db"                   a text with references
    values = { key = "secret://openai/key#value" } several, by name
    fill = "conf/train.yaml"                       a .env, JSON or YAML file with references in it
    format = "yaml"                                raw (of a value), json (of values), dotenv, yaml; of fill: as its name ends
    name = "train.yaml"                            the file's name; else that of fill, or NAME in lower case without _file
    mode = "0440"                                  else 0400
    owner = "app:app"                              else whoever runs this; only root gives files away
    on-change = "HUP"                              a signal, "restart", or a command as a list; else nothing

    [env]                                          variables that hold the value itself: they leak more easily than files
    WANDB_API_KEY = "secret://team-a/wandb#key"

    [stdin]                                        what the job reads on its standard input: value, values or fill, and format
    value = "secret://team-a/db#password"

    [restart]                                      how `ml-secrets run` starts a command anew, where on-change is "restart"
    stop-signal = "TERM"                           it is asked to end by this
    stop-timeout = "10s"                           and killed so much later
    most = 20                                      at most so often, then left alone; else without limit

Paths are relative to the file that declares them. A plain value has no place in it: it is refused, and not shown.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.agent import formats, job
from ml_secrets.agent.contents import Fields, FieldsOf
from ml_secrets.agent.documents import Document, variables
from ml_secrets.agent.job import Delivery, Job
from ml_secrets.errors import Denied, Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_secrets.agent.contents import Content
    from ml_secrets.agent.texts import Text

OWN: Final = "ml-secrets.toml"
SHARED: Final = "pyproject.toml"
_TOP: Final = ("together", "env-file", "files", "env", "stdin", "restart")
_RESTART: Final = ("stop-signal", "stop-timeout", "most")
_ONE_OF: Final = ("value", "values", "fill")
_CONTENT: Final = (*_ONE_OF, "format")
_FILE: Final = (*_CONTENT, "name", "mode", "owner", "on-change")
_POSITION: Final = re.compile(r"\(at [^)]*\)$")


def declared(start: Path, named: Path | None = None) -> Job:
    """What `named` declares, else the nearest declaration in `start` or above it, else nothing. Raises `Invalid`, `Denied`."""
    if named is not None:
        tree = _tree(named, _text(named))
        if tree is None:
            raise Invalid(f"{named} has no [tool.ml-secrets]", hint="declare there what the job needs")
        return _job(tree, named)
    for folder in (start, *start.parents):
        for path in (folder / OWN, folder / SHARED):
            if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a folder cannot be searched
                source, about = _read(path)
                tree = _tree(path, source)
                if tree is not None:
                    _check_ours(path, about)
                    return _job(tree, path)
    return Job()


def env_file(path: Path) -> list[Delivery]:
    """The variables of a .env file: plain ones as they are, references to be fetched."""
    found = variables(_text(path), str(path))
    return [Delivery("env", name, text) for name, text in found.items()]


def fill_flags(flags: Sequence[str]) -> list[Delivery]:
    """`--fill NAME=FILE`: a copy of a file, filled."""
    found = []
    for flag in flags:
        name, separator, file = flag.partition("=")
        if not separator or not file:
            raise Invalid(
                "--fill is not of the form NAME=FILE", hint="NAME will hold the path of the filled copy"
            )
        content = _filled(Path(file), None, "--fill")
        found.append(Delivery("file", job.variable(name, "--fill"), content, name=Path(file).name))
    return found


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(path: Path) -> tuple[str, os.stat_result]:
    try:
        with path.open("rb") as file:
            return file.read().decode().removeprefix("\ufeff"), os.fstat(file.fileno())
    except OSError as error:
        problem = error.strerror
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    raise Invalid(f"cannot read {path}: {problem}", hint="check the name and its rights")


def _text(path: Path) -> str:
    return _read(path)[0]


def _tree(path: Path, source: str) -> dict[str, Any] | None:
    """The declaration in a file; None where a pyproject.toml has none."""
    if path.name == SHARED and "ml-secrets" not in source:
        return None
    import tomllib  # noqa: PLC0415 - most have no such file

    try:
        tree = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _POSITION.search(str(error))  # the rest of the message may show what stands there
        place = f" {found[0]}" if found else ""
    else:
        tool = tree.get("tool") or {}
        found_here = tool.get("ml-secrets") if path.name == SHARED and isinstance(tool, dict) else tree
        return None if found_here is None else _table(found_here, f"{path}: tool.ml-secrets")
    raise Invalid(f"{path} is not valid TOML{place}", hint="values stand in quotes")


def _check_ours(path: Path, about: os.stat_result) -> None:
    """A file that nobody named may say what is run: it has to be ours, or root's."""
    if about.st_uid not in {os.geteuid(), 0} or about.st_mode & stat.S_IWOTH:
        raise Denied(
            f"{path} was found on the way up, and another user may have written it",
            hint=f"if you trust it, say so: --config {path}",
        )


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────────────────


def _job(tree: dict[str, Any], path: Path) -> Job:
    _only(tree, _TOP, str(path))
    together = tree.get("together", False)
    if not isinstance(together, bool):
        raise Invalid(f"{path}: together is neither true nor false")
    result = Job(together=together)
    if "restart" in tree:
        where = f"{path}: restart"
        result = msgspec.structs.replace(result, restart=_restart(_table(tree["restart"], where), where))
    files = tree.get("env-file", [])
    for file in [files] if isinstance(files, str) else _list(files, f"{path}: env-file"):
        result = result.with_more(env_file(path.parent / file))
    kept = []
    for section, read in (("files", _file), ("env", _variable)):
        for name, entry in _table(tree.get(section, {}), f"{path}: {section}").items():
            where = f"{path}: {section}.{name}"
            kept.append(read(job.variable(name, where), _long(entry, where), path.parent, where))
    if "stdin" in tree:
        where = f"{path}: stdin"
        entry = _long(tree["stdin"], where)
        _only(entry, _CONTENT, where)
        kept.append(Delivery("stdin", "", _content(entry, path.parent, where)))
    names = [one.variable for one in kept]
    if len(set(names)) != len(names):
        raise Invalid(f"{path} declares a variable under both files and env", hint="keep one of the two")
    try:
        return result.with_more(kept)
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", hint=error.hint) from None


def _file(name: str, entry: dict[str, Any], folder: Path, where: str) -> Delivery:
    _only(entry, _FILE, where)
    given = {
        key: _string(entry[key], f"{where}.{key}")
        for key in ("name", "mode", "owner", "fill")
        if key in entry
    }
    default = Path(given["fill"]).name if "fill" in given else job.file_name(name)
    return Delivery(
        "file",
        name,
        _content(entry, folder, where),
        name=job.checked_name(given.get("name", default), where),
        mode=job.mode_of(given.get("mode", "0400"), where),
        owner=job.owner_of(given["owner"], where) if "owner" in given else None,
        on_change=job.change_of(entry["on-change"], where) if "on-change" in entry else job.Change(),
    )


def _restart(entry: dict[str, Any], where: str) -> job.Restart:
    _only(entry, _RESTART, where)
    ends_by = job.change_of(entry.get("stop-signal", "TERM"), f"{where}.stop-signal").signal
    if not ends_by:
        raise Invalid(f"{where}.stop-signal is no signal", hint='"TERM", say')
    most = entry.get("most", 0)
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise Invalid(f"{where}.most is no number", hint="how often the command is started anew at most")
    return job.Restart(ends_by, _seconds(entry.get("stop-timeout", "10s"), f"{where}.stop-timeout"), most)


def _seconds(given: object, where: str) -> float:
    from ml_secrets.domain.duration import parse_duration  # noqa: PLC0415 - most say nothing of it

    try:
        return float(parse_duration(given))
    except Invalid:
        raise Invalid(f"{where} is no duration", hint='write "90s" or "5m"') from None


def _variable(name: str, entry: dict[str, Any], folder: Path, where: str) -> Delivery:
    _only(entry, _CONTENT, where)
    return Delivery("env", name, _content(entry, folder, where))


def _content(entry: dict[str, Any], folder: Path, where: str) -> Content:
    given = [key for key in _ONE_OF if key in entry]
    if len(given) != 1:
        raise Invalid(
            f"{where}: it takes one of {', '.join(_ONE_OF)}", hint='value = "secret://MOUNT/PATH#FIELD"'
        )
    kind = entry.get("format")
    if kind is not None and kind not in formats.KINDS:
        raise Invalid(f"{where}: there is no such format", hint=f"one of {', '.join(formats.KINDS)}")
    if "fill" in entry:
        return _filled(folder / _string(entry["fill"], f"{where}.fill"), kind, where)
    if "values" in entry:
        return _fields(_table(entry["values"], f"{where}.values"), kind or "json", where)
    return _value(job.secret_text(_string(entry["value"], f"{where}.value"), where), kind or "raw", where)


def _value(text: Text, kind: str, where: str) -> Content:
    if kind == "raw":
        return text
    if text.whole is None:
        raise Invalid(f"{where}: only a secret has fields to be written as {kind}", hint="leave format out")
    return FieldsOf(text.whole, kind)


def _fields(table: dict[str, Any], kind: str, where: str) -> Content:
    if kind == "raw":
        raise Invalid(f"{where}: several values need a format", hint="dotenv, json or yaml")
    texts = {
        name: job.plain_text(_string(text, f"{where}.values.{name}"), f"{where}.values.{name}")
        for name, text in table.items()
    }
    odd = [name for name in texts if kind == "dotenv" and not formats.is_variable(name)]
    if odd:
        raise Invalid(f"{where}: {odd[0]!r} is no name in a .env file", hint="use letters, digits and _")
    found = Fields(texts, kind)
    if not found.references:
        raise Invalid(
            f"{where}: there is no reference among its values", hint="write secret://MOUNT/PATH#FIELD"
        )
    return found


def _filled(path: Path, kind: str | None, where: str) -> Content:
    kind = kind or formats.kind_of(path.name)
    if kind is None or kind == "raw":
        raise Invalid(
            f"{where}: what kind of file is {path}?", hint='say format = "dotenv", "json" or "yaml"'
        )
    found = Document.parse(_text(path), kind, str(path))
    if not found.references:
        raise Invalid(f"{path} has no reference in it", hint="there is nothing to fill: use the file itself")
    return found


def _long(entry: object, where: str) -> dict[str, Any]:
    return {"value": entry} if isinstance(entry, str) else _table(entry, where)


def _table(given: object, where: str) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    raise Invalid(f"{where} is no table")


def _list(given: object, where: str) -> list[str]:
    if isinstance(given, list):
        return [_string(one, where) for one in given]
    raise Invalid(f"{where} is no file, and no list of files")


def _string(given: object, where: str) -> str:
    if isinstance(given, str):
        return given
    raise Invalid(f"{where} is no text", hint="put it in quotes")


def _only(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = next((name for name in table if name not in known), None)
    if unknown is not None:
        raise Invalid(f"{where}: unknown setting {unknown!r}", hint=f"known are {', '.join(known)}")
