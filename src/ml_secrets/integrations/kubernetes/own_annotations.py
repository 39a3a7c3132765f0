"""Our annotations: `ml-secrets.io/…`.

inject: "true"                    as the webhook's configuration has it, "init" (once, before the pod starts) or "sidecar"
secret-NAME: secret://…#field     a file NAME with this secret, or a text with references in braces. Is NAME a variable
                                  (DB_PASSWORD_FILE), the file is db_password, and the containers' variable holds its path
template-NAME: '{{ … }}'          a file NAME from a template (Jinja2)
mode-NAME: "0440"                 else 0400
command-NAME: 'pkill -HUP nginx'  what the sidecar's shell runs once the file holds something new
path: /run/ml-secrets             the folder that the containers see
containers: app,worker            only these
first: "true"                     before other init containers, which see the files then
user, group: "1000"               whose the files are; else what the containers run as
identity: my-role                 the Secret to log in by: role-id and secret-id
login: approle                    or token (token), userpass (password, and the annotation username)
auth-path: approle                where the method is mounted
namespace: team-a                 of our server
proxy-port: "8200"                the server's API on the pod's loopback, with the pod's rights
token-file: token                 a file with the agent's token
share-processes: "true"           so that a command finds the pod's processes
requests-cpu, requests-memory, limits-cpu, limits-memory: "64Mi"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ml_secrets.agent import job
from ml_secrets.agent.resident.template import Template
from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes.injection import (
    OURS,
    RESOURCES,
    Injection,
    Kind,
    SecretFile,
    container_folder,
)
from ml_secrets.integrations.kubernetes.logins import Login, login_by

if TYPE_CHECKING:
    from ml_secrets.integrations.kubernetes.annotations import Annotations
    from ml_secrets.integrations.kubernetes.settings import Settings

PREFIX: Final = OURS
STATUS: Final = "status"
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_MODES: Final = {"init": False, "sidecar": True}
_KINDS: Final[dict[str, Kind]] = {"secret-": "references", "template-": "jinja"}


def read(found: Annotations, settings: Settings) -> Injection | None:
    """What the annotations ask for; None where they say no."""
    stays = _stays(found, settings)
    if stays is None:
        return None
    files, variables = _files(found)
    folder = container_folder(found.text("path", settings.folder), found.at("path"))
    result = Injection(
        login=_login(found, settings),
        files=files,
        stays=stays,
        first=found.truth("first"),
        folder=folder,
        containers=found.names("containers"),
        user=found.number("user"),
        group=found.number("group"),
        variables={name: f"{folder}/{file}" for name, file in variables.items()},
        proxy_port=found.number("proxy-port", least=1024, most=65535) or 0,
        token=found.file_name(found.text("token-file", "token"), "token-file")
        if "token-file" in found
        else "",
        environment=_environment(found),
        share_processes=found.truth("share-processes"),
        requests=found.amounts("requests-", {name: name for name in RESOURCES}),
        limits=found.amounts("limits-", {name: name for name in RESOURCES}),
        status=found.at(STATUS),
    )
    found.finish()
    return result


def _stays(found: Annotations, settings: Settings) -> bool | None:
    text = found.text("inject")
    if text in _MODES:
        return _MODES[text]
    if text not in {"true", "false"}:
        raise found.wrong("inject", "none of true, false, init and sidecar")
    return settings.stays if text == "true" else None


def _files(found: Annotations) -> tuple[tuple[SecretFile, ...], dict[str, str]]:
    modes, commands = found.family("mode-"), found.family("command-")
    files, variables = [], {}
    for prefix, kind in _KINDS.items():
        for name, text in found.family(prefix).items():
            is_variable = _VARIABLE.fullmatch(name) is not None
            file = found.file_name(job.file_name(name) if is_variable else name, prefix + name)
            if is_variable:
                variables[name] = file
            _check(kind, text, found.at(prefix + name))
            mode = modes.pop(name, "0400")
            job.mode_of(mode, found.at(f"mode-{name}"))
            files.append(SecretFile(file, text, kind, mode, commands.pop(name, "")))
    for prefix, left in (("mode-", modes), ("command-", commands)):
        for name in left:
            raise Invalid(f"{found.at(prefix + name)}: no secret and no template has that name")
    return tuple(files), variables


def _check(kind: Kind, text: str, where: str) -> None:
    """Raises `Invalid` that names the annotation."""
    if not text:
        raise Invalid(f"{where} is empty")
    if kind == "references":
        job.secret_text(text, where)
    else:
        Template(text, where)


def _login(found: Annotations, settings: Settings) -> Login:
    method, mount = found.text("login", settings.login), found.text("auth-path", settings.mount)
    options = {"username": found.text("username")} if "username" in found else {}
    shared = "" if "{role}" in settings.identity else settings.identity
    return login_by(method, found.object_name("identity") or shared, mount, found.at("login"), **options)


def _environment(found: Annotations) -> dict[str, str]:
    namespace = found.text("namespace")
    return {"ML_SECRETS_NAMESPACE": namespace} if namespace else {}
