"""Hugging Face: the file that huggingface_hub (and so transformers, datasets and `hf`) reads its token from, kept current.

The library reads the file each time it needs the token, so a rotation is taken up without a word to it. The file has mode
0400, in a folder in memory that is ours alone (agent/files.py), and goes with the process; what a process left behind that
was killed goes when the next one comes.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ml_secrets.agent.files import File, Folder
from ml_secrets.agent.runtime import runtime_folder
from ml_secrets.errors import MlSecretsError
from ml_secrets.integrations.source import Source, source
from ml_secrets.places import process_namespace, process_over, process_started
from ml_secrets.sensitive import Sensitive

if TYPE_CHECKING:
    from pathlib import Path

    from ml_secrets.client.secret import Secret

_LEAD: Final = "hugging-face-"
_OF_A_PROCESS: Final = re.compile(rf"{_LEAD}([1-9]\d*)-(\d+)-(\d+)", re.ASCII)
"""Whose numbers the process has one of, that, and when it began."""
_NAME: Final = "token"
_VARIABLE: Final = "HF_TOKEN_PATH"


def token_file(what: str | Source) -> Path:
    """Have huggingface_hub, in this process and those it starts, read its token from a file that is current; gives its path.

    `token_file("hf/train")`. HF_TOKEN goes ahead of the file, so where that is set it is not used.
    """
    kept, owner = source(what), os.getpid()
    folder = runtime_folder(f"{_LEAD}{process_namespace()}-{owner}-{process_started(owner)}")
    _sweep(folder.path)

    def write(secret: Secret | None) -> None:
        if os.getpid() != owner:
            return  # a forked child reads its parent's
        if secret is None:
            folder.shred(_NAME)
        else:
            folder.write(File(_NAME, Sensitive(secret.reveal())))

    def end() -> None:
        if os.getpid() == owner:
            with suppress(OSError, MlSecretsError):  # whoever removed it has done so
                folder.destroy()

    atexit.register(end)
    kept.on_change(write)
    write(kept.get())
    _point(folder.path / _NAME)
    return folder.path / _NAME


def _point(path: Path) -> None:
    """Name the file to the library: by its variable, and where it was loaded already."""
    os.environ[_VARIABLE] = str(path)
    loaded = sys.modules.get("huggingface_hub.constants")
    if loaded is not None:
        loaded.HF_TOKEN_PATH = str(path)  # type: ignore[attr-defined]


def _sweep(ours: Path) -> None:
    """Shred what processes left that are no more. Of those in other containers that share the folder we know nothing."""
    for path in ours.parent.iterdir():
        found = _OF_A_PROCESS.fullmatch(path.name)
        if found and int(found[1]) == process_namespace() and process_over(int(found[2]), found[3]):
            with suppress(OSError, MlSecretsError), Folder(path, create=False) as left:
                left.destroy()
