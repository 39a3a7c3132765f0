"""The notebook extension: `%load_ext ml_secrets`.

    %secret_login ada                    asks for the password; the token can only read, and ends with the kernel
    %secret team-a/db password           binds the handle `db`: db.reveal() at each use
    %secret openai/api-key as key        binds it as `key`

Guards stand from then on: in mode mask for the kernel, and where it lets something out (notebook_sinks.py), so that no value is displayed, nor saved in
the notebook.
"""

from __future__ import annotations

import functools
import re
from getpass import getpass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.client import default
from ml_secrets.errors import Invalid, MlSecretsError
from ml_secrets.integrations.notebook_login import WRITING, Login
from ml_secrets.integrations.notebook_sinks import guard
from ml_secrets.redaction.installed import install, uninstall
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from ml_secrets.client import Client
    from ml_secrets.client.live import LiveSecret

_USAGE: Final = "%secret NAME [FIELD] [as VARIABLE]"
_LOGIN_USAGE: Final = f"%secret_login [USERNAME] [{WRITING}]"
_patches = Patches()
_login: Login | None = None
_matchers: Final[list[Any]] = []


def load(shell: Any) -> None:
    """Put the magics and the guards in."""
    global _patches  # noqa: PLW0603 - there is one kernel
    _patches = Patches()
    install()
    for name, magic in _MAGICS.items():
        shell.register_magic_function(functools.partial(magic, shell), "line", name)
    _matchers.append(offer(shell))
    guard(shell, _patches)


def unload(shell: Any) -> None:
    """Take the magics and the guards off."""
    for name in _MAGICS:
        shell.magics_manager.magics["line"].pop(name, None)
    if _login is not None:
        _login.end()
    while _matchers:
        shell.Completer.custom_matchers.remove(_matchers.pop())
    _patches.take_off()
    uninstall()


def secret(shell: Any, line: str) -> None:
    """`%secret NAME [FIELD] [as VARIABLE]`: bind a handle that is always current."""

    def bind() -> None:
        name, field, variable = parsed(line)
        handle: LiveSecret = default.live(name, field=field)
        handle.get()
        shell.push({variable: handle})
        print(f"{variable} = {handle!r}")  # noqa: T201 - a magic tells what it did

    _told(bind)


def secret_login(line: str) -> None:
    """`%secret_login [USERNAME] [--read-write]`: by password, or, without a name, by a token. Either is asked for, and not shown."""
    words = line.split()
    writes = WRITING in words
    names = [word for word in words if word != WRITING]
    if len(names) > 1 or any(name.startswith("-") for name in names):
        raise Invalid(f"this names nobody: %secret_login {line}", hint=_LOGIN_USAGE)
    login = _login_of(default.default_client())
    if names:
        lasts = login.by_password(names[0], getpass(f"Password of {names[0]}: "), writes=writes)
    else:
        lasts = login.by_token(getpass("Token: "), writes=writes)
    print(f"logged in as {names[0] if names else 'the token'}: {_told_of(login, lasts, writes=writes)}")  # noqa: T201 - a magic tells what it did


def _login_of(client: Client) -> Login:
    global _login  # noqa: PLW0603 - there is one kernel
    if _login is None or _login.client is not client:
        _login = Login(client)
    return _login


def _told_of(login: Login, lasts: int, *, writes: bool) -> str:
    rights = "may write" if writes else "read-only"
    until = f", for {lasts} s, renewed while the kernel runs" if lasts else ""
    return rights + until + (", revoked when it ends" if login.owned else "")


_MAGICS: Final = {
    "secret": secret,
    "secret_login": lambda _shell, line: _told(lambda: secret_login(line)),
}


def offer(shell: Any) -> Any:
    """Have Tab offer, after `%secret `, the names in the folder that is being typed, as far as one may list them; gives the matcher."""
    completer: Any = import_module("IPython.core.completer")

    def matcher(context: Any) -> dict[str, Any]:
        words = context.text_until_cursor.split(" ")
        ours = words[0] == "%secret" and len(words) == 2
        found = _names_from(words[1]) if ours else []
        return {"completions": [completer.SimpleCompletion(name) for name in found], "suppress": ours}

    marked = completer.context_matcher()(matcher)
    shell.Completer.custom_matchers.append(marked)
    return marked


def _names_from(start: str) -> list[str]:
    folder, slash, beginning = start.rpartition("/")
    try:
        found = default.default_client().kv.list(folder)
    except MlSecretsError:
        return []
    return [f"{folder}{slash}{name}" for name in found if name.startswith(beginning)]


def parsed(line: str) -> tuple[str, str | None, str]:
    """Name, field and variable. Raises `Invalid`."""
    words = line.split()
    variable = ""
    if len(words) >= 3 and words[-2] == "as":
        variable, words = words[-1], words[:-2]
    if not 1 <= len(words) <= 2:
        raise Invalid(f"this names no secret: %secret {line}".rstrip(), hint=_USAGE)
    variable = variable or re.sub(r"\W", "_", words[0].strip("/").rpartition("/")[2])
    if not variable.isidentifier():
        raise Invalid(f"{variable!r} is no name of a variable", hint=_USAGE)
    return words[0], words[1] if len(words) == 2 else None, variable


def _told(action: Any) -> None:
    """Refusals are told as text: a traceback of ours would help nobody."""
    try:
        action()
    except MlSecretsError as error:
        print(f"{type(error).__name__}: {error}")  # noqa: T201 - as above
