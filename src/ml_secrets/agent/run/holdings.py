"""What a run made and must take back: its folder, and tokens. The guardian is told of each, in case nobody else is left to do it."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING

from ml_secrets.agent.run import place, tokens

if TYPE_CHECKING:
    from ml_secrets.agent.files import File, Folder
    from ml_secrets.agent.run.guardian import Guardian
    from ml_secrets.client import Client
    from ml_secrets.sensitive import Sensitive


class Holdings:
    """The holdings of one run. Threads may share them."""

    def __init__(self, mark: str, client: Client, guardian: Guardian) -> None:
        self._mark = mark
        self._client = client
        self._guardian = guardian
        self._folder: Folder | None = None
        self._open: list[int] = []
        self._tokens: list[Sensitive] = []
        self._alone = Lock()
        self._over = False

    def token(self, token: Sensitive) -> None:
        """This token ends with the run."""
        self._guardian.knows("token", token.reveal())
        self._tokens.append(token)

    def login(self) -> None:
        """The token that the run's own login made ends with it; after a while the login may have made another."""
        session = self._client.session
        with self._alone:
            if session.login is None or session.token is None or session.token in self._tokens:
                return
            self.token(session.token)

    def write(self, files: list[File], *, together: bool = False) -> dict[str, str]:
        """Write files into the run's folder, each whole and at once. Gives the path of each, by name; nothing once all is taken back.

        `together`: in place of all that were written so before, by one rename.
        """
        with self._alone:
            if self._over or not files:
                return {}
            if self._folder is None:
                self._folder = place.make(self._mark)
                self._guardian.knows("folder", str(self._folder.path))
            write = self._folder.exchange if together else self._folder.write
            return {written.path.name: str(written.path) for written in write(*files)}

    def open(self, files: list[File]) -> dict[str, str]:
        """Files without a place in any folder, for the command to inherit. Gives the path of each, by name."""
        from ml_secrets.agent.memory import memory_file, memory_path  # noqa: PLC0415 - only where it was asked for

        paths: dict[str, str] = {}
        for file in files:
            self._open.append(memory_file(file.name, file.content))
            os.set_inheritable(self._open[-1], True)
            paths[file.name] = memory_path(self._open[-1])
        return paths

    def handed_over(self) -> None:
        """The command has inherited what it is to: ours is closed."""
        while self._open:
            os.close(self._open.pop())

    def take_back(self) -> bool:
        """Shred the folder and revoke the tokens. False where the server could not be asked: the guardian goes on trying."""
        self.login()
        with self._alone:
            self._over = True
            folder, self._folder = self._folder, None
            self._client.session.login = None  # a thread that finds the token revoked makes no other
        try:
            if folder is not None:
                folder.destroy()
                folder.close()
        finally:
            self.handed_over()
            left = [token for token in self._tokens if not tokens.revoke(self._client, token.reveal())]
            if left:
                self._guardian.leave()
            else:
                self._guardian.dismiss()
        return not left
