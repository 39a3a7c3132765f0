"""Where the server is, and who we are to it.

Each setting is looked for in this order, and the first one found counts:

    1. the argument of Client
    2. ML_SECRETS_ADDR, _TOKEN, _TOKEN_FILE, _NAMESPACE, _CACERT, _CLIENT_CERT, _CLIENT_KEY, _SKIP_VERIFY, _MOUNT,
       _TIMEOUT, _PATIENCE, _CACHE_TTL, _REVALIDATE, _SHARE
    3. BAO_ADDR, BAO_TOKEN, BAO_NAMESPACE, BAO_CACERT, BAO_CLIENT_CERT, BAO_CLIENT_KEY, BAO_SKIP_VERIFY
    4. VAULT_... of the same names
    5. <config dir>/config.toml, and the token that `ml-secrets login` left in <config dir>/token; then ~/.vault-token
    6. a server that runs on this machine and says so in <data dir>/server.json
    7. the store embedded in this process, in <data dir>

places.py says where the two folders are. A token file, or a server.json, that
others can write (or, for tokens, read) is refused; a file that ML_SECRETS_TOKEN_FILE names is taken as it is, because
whoever mounts it decides about its mode. An empty variable counts as absent.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ml_secrets import places
from ml_secrets.client.encoding import Unreadable, decode, hide
from ml_secrets.client.node.job import job_of
from ml_secrets.errors import Invalid
from ml_secrets.sensitive import MASK, Sensitive

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

EMBEDDED: Final = "embedded:"
_FAMILIES: Final = ("ML_SECRETS_", "BAO_", "VAULT_")
_FILE_KEYS: Final = (
    "address",
    "namespace",
    "cacert",
    "client_cert",
    "client_key",
    "mount",
    "timeout",
    "patience",
    "cache_ttl",
    "revalidate",
    "share",
)
_UNFIT: Final = "the {} is empty, or holds a space, a line break or a character beyond ASCII"
_COPIED: Final = "was it copied whole, and alone?"
_DEFAULTS: Final = {"timeout": 30.0, "patience": 0.0, "cache_ttl": 300.0, "revalidate": 5.0}


@dataclass(slots=True)
class Settings:
    """What a client goes by. Times in seconds.

    address: http(s)://host:port, unix:///path, or "embedded:". verify: True for the system's authorities, a path for
    others, False for no check at all. timeout: for one call with all its retries. patience: for how long at least to try
    again while the server is away or busy, within the timeout; 0 is five tries, about a second. cache_ttl: how long a value is served
    without asking; 0 is never. revalidate: how long before the server is asked whether a value still holds (where it
    answers conditional reads); 0 is every time. token_path: the file that the token came from, to be read again when the
    token is not known any more; None for a token that came otherwise. share: the job whose processes on this machine ask
    together (node/job.py); "" for one that asks for itself.
    """

    address: str
    token: Sensitive | None = None
    namespace: str = ""
    verify: bool | str | ssl.SSLContext = True
    client_cert: str = ""
    client_key: str = ""
    mount: str = "secret"
    timeout: float = 30.0
    patience: float = 0.0
    cache_ttl: float = 300.0
    revalidate: float = 5.0
    data_dir: Path | None = None
    token_path: Path | None = None
    share: str = ""

    @property
    def embedded(self) -> bool:
        """Is the store in this process?"""
        return self.address == EMBEDDED


class Surroundings(Mapping[str, str]):
    """Environment variables that do not show when a traceback prints them: there are tokens among them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._get = variables.__getitem__
        self._names = variables.__iter__

    def __getitem__(self, name: str) -> str:
        return self._get(name)

    def __iter__(self) -> Iterator[str]:
        return self._names()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return MASK


def token_file(environ: Mapping[str, str]) -> Path:
    """Where `ml-secrets login` leaves the token."""
    return places.config_dir(environ) / "token"


def resolve(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """The settings, from the arguments that are not None down to the embedded store. Raises `Invalid`."""
    environ = Surroundings(os.environ if environ is None else environ)
    filed = _config_file(places.config_dir(environ) / "config.toml")
    found = _Found(environ, filed, {name: value for name, value in given.items() if value is not None})
    address = found.given.get("address")
    if address is None:
        address = found.text("address", "ADDR") or _local_server(places.data_dir(environ)) or EMBEDDED
    settings = Settings(
        address=check_address(str(address)),
        namespace=check_text(found.text("namespace", "NAMESPACE"), "namespace"),
        verify=found.verify(),
        client_cert=found.text("client_cert", "CLIENT_CERT"),
        client_key=found.text("client_key", "CLIENT_KEY"),
        mount=found.text("mount", "MOUNT").strip("/") or "secret",
        timeout=found.seconds("timeout", "TIMEOUT"),
        patience=found.seconds("patience", "PATIENCE"),
        cache_ttl=found.seconds("cache_ttl", "CACHE_TTL"),
        revalidate=found.seconds("revalidate", "REVALIDATE"),
        data_dir=places.data_dir(environ),
        share=job_of(environ, found.text("share", "SHARE")),
    )
    settings.token, settings.token_path = _token(
        environ, None if given.get("token") is None else hide(given.pop("token")), embedded=settings.embedded
    )
    return settings


@dataclass(slots=True)
class _Found:
    """The three places of a setting other than the token."""

    environ: Mapping[str, str]
    filed: Mapping[str, Any]
    given: Mapping[str, Any]

    def text(self, name: str, variable: str) -> str:
        if name in self.given:
            return str(self.given[name])
        return _variable(self.environ, variable) or str(self.filed.get(name, ""))

    def seconds(self, name: str, variable: str) -> float:
        value = (
            self.given.get(name)
            if name in self.given
            else _variable(self.environ, variable) or self.filed.get(name, _DEFAULTS[name])
        )
        if isinstance(value, str):
            found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h)?", value, re.ASCII)
            value = float(found[1]) * {"m": 60, "h": 3600}.get(found[2], 1) if found else None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value < float("inf")
            or (not value and name == "timeout")
        ):
            raise Invalid(f"{name} is not a number of seconds", hint="write 30, 30s, 5m or 1h")
        return float(value)

    def verify(self) -> bool | str | ssl.SSLContext:
        given = self.given.get("verify")
        if given is not None and given is not True:
            return given if not isinstance(given, Path) else str(given)
        authority = self.text("cacert", "CACERT") or _variable(self.environ, "CAPATH")
        if authority:
            return authority
        skip = "" if given is True else _variable(self.environ, "SKIP_VERIFY")
        if skip.lower() not in ("", "0", "f", "false", "1", "t", "true"):
            raise Invalid("ML_SECRETS_SKIP_VERIFY (or BAO_, VAULT_) must be true or false")
        return skip.lower() not in ("1", "t", "true")


def _variable(environ: Mapping[str, str], name: str) -> str:
    return next((environ[family + name] for family in _FAMILIES if environ.get(family + name)), "")


def check_address(address: str) -> str:
    """The address without a trailing slash. Raises `Invalid` for what is none, and for one that holds a password."""
    if address == EMBEDDED:
        return address
    try:
        parts = urlsplit(address)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = urlsplit(""), False
    host = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in ("http", "https", "unix") or not host or not port_fits:
        raise Invalid("the address is no URL", hint="write it like https://secrets.example.org:8200")
    if parts.username is not None or parts.query or parts.fragment:
        raise Invalid(
            "the address holds more than scheme, host, port and path",
            hint="hand the token over by ML_SECRETS_TOKEN",
        )
    return address.rstrip("/").removesuffix("/v1")


def check_text(text: str, what: str) -> str:
    """`text` when it may stand in a header. Raises `Invalid` without showing it."""
    if re.fullmatch(r"[!-~]*", text, re.ASCII):
        return text
    raise Invalid(_UNFIT.format(what), hint=_COPIED)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _config_file(path: Path) -> dict[str, Any]:
    try:
        content = path.read_text(encoding="utf-8")
        import tomllib  # noqa: PLC0415 - most have no such file

        tree = tomllib.loads(content)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not valid TOML"
        raise Invalid(f"cannot read {path}: {problem}") from None
    unknown = [name for name in tree if name not in _FILE_KEYS]
    if unknown:
        del tree
        for name in unknown:
            hint = (
                "tokens do not go there: use `ml-secrets login`"
                if "token" in name
                else f"known are {', '.join(_FILE_KEYS)}"
            )
            raise Invalid(f"{path}: unknown setting {name!r}", hint=hint)
    return tree


def _token(
    environ: Mapping[str, str], given: Sensitive | None, *, embedded: bool
) -> tuple[Sensitive | None, Path | None]:
    """The token and the file it came from. The embedded store has its own, unless one was meant for us."""
    own = given if given is not None else _hidden(environ, "ML_SECRETS_TOKEN")
    if own is None and environ.get("ML_SECRETS_TOKEN_FILE"):
        path = Path(environ["ML_SECRETS_TOKEN_FILE"]).expanduser()
        return read_token(path, named=True), path
    if own is None and not embedded:
        own = _hidden(environ, "BAO_TOKEN") or _hidden(environ, "VAULT_TOKEN")
    if own is not None or embedded:
        return own if own is None else check_token(own), None
    for path in (token_file(environ), places.home(environ) / ".vault-token"):
        token = read_token(path)
        if token is not None:
            return token, path
    return None, None


def _hidden(environ: Mapping[str, str], name: str) -> Sensitive | None:
    return hide(environ[name]) if environ.get(name) else None


def check_token(token: Sensitive) -> Sensitive:
    """The token, fit for a header. Raises `Invalid` without showing it."""
    try:
        if re.fullmatch(r"[!-~]+", token.reveal().strip(), re.ASCII):
            return Sensitive(token.reveal().strip())
    except ValueError:
        pass  # a file of bytes that are no text
    raise Invalid(_UNFIT.format("token"), hint=_COPIED)


def read_token(path: Path, *, named: bool = False) -> Sensitive | None:
    """A token file's content; None when there is none. Raises `Invalid` when others can read a file that nobody `named`."""
    try:
        content, mode = _read_private(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not named:
            return None
        raise Invalid(
            f"cannot read the token file {path}: {error.strerror}",
            hint="check ML_SECRETS_TOKEN_FILE" if named else "",
        ) from None
    if mode & 0o077 and not named:
        raise Invalid(
            f"the token file {path} can be read by others", hint=f"chmod 600 {path}, and replace the token"
        )
    if named and not content:
        raise Invalid(
            f"the token file {path} is empty",
            hint="write a token into it; did the command fail that made it?",
        )
    return check_token(content) if content else None


def _read_private(path: Path) -> tuple[Sensitive, int]:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        return Sensitive(file.read(1 << 16)), mode


def write_token(environ: Mapping[str, str], token: Sensitive) -> Path:
    """Leave the token where the next client finds it, readable by its owner only."""
    import tempfile  # noqa: PLC0415 - it takes long to import, and only a login writes

    path = token_file(environ)
    del environ  # it may hold tokens, and what follows may fail
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix="token.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.reveal_bytes())
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink()
        raise
    return path


def forget_token(environ: Mapping[str, str]) -> None:
    """Remove what `write_token` left."""
    token_file(environ).unlink(missing_ok=True)


def _local_server(folder: Path) -> str:
    """The address of the server that runs on this machine for this user; "" when none does."""
    path = folder / "server.json"
    try:
        with path.open("rb") as file:
            held = os.fstat(file.fileno())
            content = decode(Sensitive(file.read(1 << 16)))
    except (OSError, Unreadable):
        return ""
    if held.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(held.st_mode) & 0o022:
        raise Invalid(
            f"{path} could have been written by others", hint="set ML_SECRETS_ADDR, or remove the file"
        )
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("address"), str)
        or not _alive(content.get("pid"), content.get("started"))
    ):
        return ""
    return str(content["address"])


def _alive(pid: Any, started: Any) -> bool:
    """The process that wrote it runs: not only one that has got its number since."""
    if isinstance(pid, bool) or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return started is None or started == places.process_started(pid)
