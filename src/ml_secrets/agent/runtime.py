"""The folder in memory where this user's secrets go when nobody names one: the first of `places.runtime_dirs` that is safe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml_secrets import places
from ml_secrets.agent.files import Folder
from ml_secrets.agent.rights import checked_folder
from ml_secrets.errors import Denied, MlSecretsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def runtime_folder(name: str, environ: Mapping[str, str] | None = None) -> Folder:
    """The folder `name` in it, open. Raises `Denied` where neither place will do, and says why."""
    reasons: list[str] = []
    for place in places.runtime_dirs(os.environ if environ is None else environ):
        try:
            os.close(checked_folder(place.parent))
            return Folder(place / name)
        except MlSecretsError as error:
            reasons.append(error.message)
        except OSError as error:
            reasons.append(f"{place}: {error.strerror}")
    raise Denied(
        "there is no folder in memory for secrets: " + "; ".join(reasons),
        hint="name one with --to; and say --on-disk if it may be on a disk",
    )
