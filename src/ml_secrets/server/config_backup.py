"""The block `backup` of a configuration file: where backups go that the server makes by itself, when, and which stay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.domain.backup_plan import DAY, Plan
from ml_secrets.domain.duration import parse_duration
from ml_secrets.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

_KNOWN: Final = ("folder", "every", "at", "keep")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_COUNT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_KEEP: Final = 14
_SHORTEST: Final = 60
_EXAMPLE: Final = '[backup]\nfolder = "/mnt/backups/ml-secrets"\nevery = "6h"\nkeep = 14'


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where backups go, and when."""

    folder: Path
    plan: Plan

    def check_place(self, store: Path | None, key_file: Path | None) -> None:
        """A backup must not be lost with the store, nor lie beside what opens it."""
        folder = self.folder.resolve()
        if store is not None and folder.is_relative_to(store.resolve()):
            raise Invalid(
                "backup.folder lies in the store's folder",
                hint="name a folder elsewhere, best on another disk",
            )
        if key_file is not None and key_file.resolve().parent == folder:
            raise Invalid(
                "backup.folder holds the key file: whoever has one has both",
                hint="keep the key file elsewhere",
            )


def read(blocks: Sequence[tuple[str, dict[str, Any]]]) -> BackupSettings:
    """The block, from (label, settings) of each. Raises `Invalid` that names the setting."""
    if len(blocks) > 1 or any(label for label, _ in blocks):
        raise Invalid("there is one block of backup settings, without a label", hint=_EXAMPLE)
    settings = blocks[0][1] if blocks else {}
    unknown = [name for name in settings if name not in _KNOWN]
    if unknown:
        raise Invalid(f"unknown backup setting {unknown[0]!r}", hint=f"there are {', '.join(_KNOWN)}")
    folder = settings.get("folder")
    if not folder or not isinstance(folder, str):
        raise Invalid("backup needs a folder", hint=_EXAMPLE)
    if "every" in settings and "at" in settings:
        raise Invalid("backup has every and at", hint="choose one: at an interval, or once a day")
    return BackupSettings(Path(folder), Plan(**_when(settings), **_keep(settings.get("keep", _KEEP))))


def _when(settings: dict[str, Any]) -> dict[str, int]:
    if "at" not in settings:
        every = _seconds("every", settings.get("every", DAY))
        if every < _SHORTEST:
            raise Invalid(f"backup.every is {_SHORTEST} seconds at least", hint='such as "6h"')
        return {"every": every}
    found = _TIME.fullmatch(str(settings["at"]))
    if found is None:
        raise Invalid("backup.at is a time of the day in UTC", hint='such as "03:00"')
    return {"every": 0, "at": int(found[1]) * 3600 + int(found[2]) * 60}


def _keep(value: Any) -> dict[str, int]:
    """A plain number is how many; with a unit it is how long."""
    if not isinstance(value, bool) and _COUNT.fullmatch(str(value)):
        return {"keep": int(value)}
    seconds = 0 if str(value).isdecimal() else _seconds("keep", value)
    if not seconds:
        raise Invalid(
            "backup.keep is how many backups stay, one at least, or how long", hint='such as 14, or "30d"'
        )
    return {"keep_for": seconds}


def _seconds(name: str, value: Any) -> int:
    try:
        return parse_duration(value)
    except Invalid as error:
        raise Invalid(f"backup.{name}: {error.message}", hint=error.hint) from None
