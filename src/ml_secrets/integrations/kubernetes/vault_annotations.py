"""The annotations of Vault's agent injector, `vault.hashicorp.com/…`, for what we have too.

What would change what is done, and is not known here, is refused by its name. What has no meaning here is left out and told of, as is what is
taken for less than it says. A pod that names no login method means Vault's Kubernetes login, which is not here yet: it logs in as the webhook's
configuration says, by a Secret that may be named after its role.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes.injection import Injection, SecretFile, container_folder
from ml_secrets.integrations.kubernetes.logins import Login, login_by
from ml_secrets.integrations.kubernetes.texts import template_of

if TYPE_CHECKING:
    from ml_secrets.integrations.kubernetes.annotations import Annotations
    from ml_secrets.integrations.kubernetes.settings import Settings

PREFIX: Final = "vault.hashicorp.com/"
STATUS: Final = "agent-inject-status"
FOLDER: Final = "/vault/secrets"
CUSTOM, TLS = "/vault/custom", "/vault/tls"
_TEMPLATES: Final = {
    "map": "{{ with secret %s }}{{ range $name, $value := .Data.data }}{{ $name }}: {{ $value }}\n{{ end }}{{ end }}",
    "json": "{{ with secret %s }}{{ .Data.data | toJSON }}\n{{ end }}",
}
_DELIMITERS: Final = ("{{", "}}")
_FILES: Final = {"role-id-file-path": "role-id-file", "secret-id-file-path": "secret-id-file"}
_AMOUNTS: Final = {"cpu": "cpu", "mem": "memory", "ephemeral": "ephemeral-storage"}
_REFUSED: Final[dict[str, tuple[bool | None, str]]] = {
    "tls-skip-verify": (False, "a server whose certificate nobody checks may be anybody: give ca-cert"),
    "agent-set-security-context": (True, "what is injected always runs without root and without privileges"),
    "agent-revoke-on-shutdown": (
        False,
        "an agent's token ends by its time; agent-pre-populate-only leaves no agent",
    ),
    "agent-enable-quit": (False, "nobody in a pod ends its agent"),
    "agent-cache-exit-on-err": (False, "there is no cache on a disk here"),
    "agent-image": (None, "the image is the webhook's to say"),
    "agent-json-patch": (None, "what is injected is not changed by a pod's patch"),
    "agent-init-json-patch": (None, "what is injected is not changed by a pod's patch"),
    "agent-service-account-token-volume-name": (None, "the login by a service account is not here yet"),
    "agent-copy-volume-mounts": (None, "our containers see their own volumes alone"),
    "agent-inject-template-file-": (None, "write the template in agent-inject-template-NAME"),
    "secret-volume-path-": (None, "all files of a pod are in one folder: secret-volume-path"),
    "proxy-address": (None, "there is no such setting here"),
    "tls-server-name": (None, "there is no such setting here"),
    "ca-key": (None, "there is no such setting here"),
}
"""What is not done, why, and what may be said of it all the same: that it is not to be done. A name that ends in - is a family."""
_HARMLESS: Final = (
    "log-level", "log-format", "client-max-retries", "client-timeout", "agent-request-namespace", "agent-revoke-grace", "go-max-procs",
    "agent-disable-idle-connections", "agent-disable-keep-alives", "auth-min-backoff", "auth-max-backoff",
    "template-max-connections-per-host", "template-config-exit-on-retry-failure",
)  # fmt: skip


def read(found: Annotations, settings: Settings) -> Injection | None:
    """What the annotations ask for; None where they say no."""
    if not found.truth("agent-inject"):
        return None
    return _Reading(found, settings).injection()


@dataclass(slots=True)
class _Reading:
    found: Annotations
    settings: Settings
    notes: list[str] = field(default_factory=list)

    def injection(self) -> Injection:
        found = self.found
        self._refuse()
        found.truth("agent-run-as-same-user")  # so it is in any case
        only, filled = found.truth("agent-pre-populate-only"), found.truth("agent-pre-populate", default=True)
        if not filled and not only:
            self._note("agent-pre-populate", "the pod waits for its files all the same")
        configmap = found.object_name("agent-configmap")
        mounted = self._mounted()
        result: dict[str, Any] = {
            "login": self._login(custom=CUSTOM in mounted, configmap=bool(configmap)),
            "files": self._files(),
            "stays": not only,
            "first": found.truth("agent-init-first"),
            "folder": container_folder(
                found.text("secret-volume-path", FOLDER), found.at("secret-volume-path")
            ),
            "containers": found.names("agent-inject-containers"),
            "user": found.number("agent-run-as-user"),
            "group": found.number("agent-run-as-group"),
            "proxy_port": self._proxy(),
            "token": "token" if found.truth("agent-inject-token") else "",
            "configmap": configmap,
            "mounted_secrets": mounted,
            "environment": self._environment(),
            "poll": found.text("template-static-secret-render-interval"),
            "share_processes": found.truth("agent-share-process-namespace"),
            "limits": found.amounts("agent-limits-", _AMOUNTS),
            "requests": found.amounts("agent-requests-", _AMOUNTS),
            "status": found.at(STATUS),
        }
        if configmap and (result["files"] or result["token"] or result["folder"] != FOLDER):
            raise Invalid(f"{found.at('agent-configmap')} says all that there is to say: no files beside it")
        for name in found.finish(harmless=_HARMLESS):
            self.notes.append(f"{name} is left out")
        return Injection(**result, notes=tuple(self.notes))

    def _note(self, name: str, text: str) -> None:
        self.notes.append(f"{self.found.at(name)}: {text}")

    def _refuse(self) -> None:
        """What is asked for and is not done."""
        found = self.found
        for name, (harmless, why) in _REFUSED.items():
            if harmless is None:
                found.refuse(name, why)
            elif found.truth(name, default=harmless) != harmless:
                raise found.refusal(name, why)
        service = found.text("service", self.settings.address)
        if service.rstrip("/") != self.settings.address.rstrip("/"):
            raise Invalid(
                f"{found.at('service')}: where the server is, the webhook says", hint="leave it out"
            )

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _files(self) -> tuple[SecretFile, ...]:
        found = self.found
        default = found.text("agent-inject-default-template", "map")
        if default not in _TEMPLATES:
            raise found.wrong("agent-inject-default-template", "neither map nor json")
        delimiters = (
            found.text("agent-template-left-delim", _DELIMITERS[0]),
            found.text("agent-template-right-delim", _DELIMITERS[1]),
        )
        kept = found.truth("preserve-secret-case")
        beside = {what: found.family(f"agent-inject-{what}-") for what in ("file", "command", "perms")}
        texts = {
            name: ("agent-inject-secret-", _TEMPLATES[default] % json.dumps(path), _DELIMITERS)
            for name, path in found.family("agent-inject-secret-").items()
        } | {
            name: ("agent-inject-template-", text, delimiters)
            for name, text in found.family("agent-inject-template-").items()
        }
        files = tuple(self._file(name, *text, beside, kept=kept) for name, text in texts.items())
        self._note_what_is_missing()
        for what, left in beside.items():
            for name in left:
                raise Invalid(f"{found.at(f'agent-inject-{what}-{name}')}: no secret has that name")
        return files

    def _file(
        self,
        name: str,
        annotation: str,
        text: str,
        delimiters: tuple[str, str],
        beside: dict[str, dict[str, str]],
        *,
        kept: bool,
    ) -> SecretFile:
        found = self.found
        own = found.truth(f"preserve-secret-case-{name}", default=kept)
        file = beside["file"].pop(name, name if own else name.lower())
        made = SecretFile(
            found.file_name(file, f"agent-inject-file-{name}"),
            text,
            "go",
            self._mode(name, beside["perms"].pop(name, "0400")),
            beside["command"].pop(name, ""),
            delimiters,
        )
        self._check(made, annotation + name)
        return made

    def _check(self, file: SecretFile, annotation: str) -> None:
        if not file.text:
            raise Invalid(f"{self.found.at(annotation)} is empty")
        try:
            template_of(file)
        except Invalid as error:
            raise Invalid(f"{self.found.at(annotation)}: {error.message}", hint=error.hint) from None

    def _note_what_is_missing(self) -> None:
        for name, text in self.found.family("agent-error-on-missing-key-").items():
            if text in {"false", "0"}:
                self._note(f"agent-error-on-missing-key-{name}", "what is missing is an error all the same")

    def _mode(self, name: str, text: str) -> str:
        """What others would have of a secret they do not get."""
        if len(text) > 4 or set(text) - set("01234567") or not text:
            raise self.found.wrong(f"agent-inject-perms-{name}", "no mode in octal digits")
        mode = int(text, 8)
        kept = mode & 0o660 | 0o400
        if kept != mode:
            self._note(f"agent-inject-perms-{name}", f"{mode:04o} is taken for {kept:04o}")
        return f"{kept:04o}"

    # ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _login(self, *, custom: bool, configmap: bool) -> Login:
        found, settings = self.found, self.settings
        method, role, mount = found.text("auth-type"), found.text("role"), found.text("auth-path")
        options = found.family("auth-config-")
        once = found.truth("agent-auto-auth-exit-on-err")
        if configmap:
            return Login("token", once=once)
        if method in {"", "kubernetes"} and not mount and not options:
            if method or not settings.identity:
                raise Invalid(
                    f"{found.at('auth-type')}: the login kubernetes is not here yet",
                    hint="auth-type: approle with agent-extra-secret; or an identity in the webhook's configuration",
                )
            if role and "{role}" not in settings.identity:
                raise Invalid(
                    f"{found.at('role')}: the webhook's configuration does not say which Secret a role has"
                )
            if not role and "{role}" in settings.identity:
                raise Invalid(f"{found.at('role')} is missing: it says which Secret the pod logs in by")
            secret = found.as_object(settings.identity.replace("{role}", role), "role")
            return login_by(settings.login, secret, settings.mount, found.at("auth-type"))
        if method != "approle":
            raise Invalid(f"{found.at('auth-type')}: there is no such login method here", hint="approle")
        if role:
            raise Invalid(f"{found.at('role')}: approle has its role in role-id", hint="leave it out")
        return Login(
            "approle",
            mount.removeprefix("auth/").strip("/"),
            self._approle(options, custom=custom),
            once=once,
        )

    def _approle(self, options: dict[str, str], *, custom: bool) -> dict[str, str | bool]:
        given: dict[str, str | bool] = {}
        removes = options.pop("remove-secret-id-file-after-reading", "false")
        if removes == "true":
            self._note("auth-config-remove-secret-id-file-after-reading", "a mounted Secret is not removed")
        for name, text in options.items():
            if name == "role-id":
                given["role-id"] = text
            elif name in _FILES and custom and text.startswith(f"{CUSTOM}/"):
                given[_FILES[name]] = container_folder(text, self.found.at(f"auth-config-{name}"))
            else:
                raise Invalid(
                    f"{self.found.at(f'auth-config-{name}')} is not known here, or names no file of the Secret",
                    hint=f"agent-extra-secret is mounted at {CUSTOM}",
                )
        if ("role-id" in given) == ("role-id-file" in given):
            raise Invalid(f"{self.found.at('auth-config-role-id')}: approle takes it, or role-id-file-path")
        return given

    def _mounted(self) -> dict[str, str]:
        pairs = ((CUSTOM, "agent-extra-secret"), (TLS, "tls-secret"))
        return {path: secret for path, name in pairs if (secret := self.found.object_name(name))}

    def _environment(self) -> dict[str, str]:
        names = {
            "namespace": "ML_SECRETS_NAMESPACE",
            "ca-cert": "ML_SECRETS_CACERT",
            "client-cert": "ML_SECRETS_CLIENT_CERT",
            "client-key": "ML_SECRETS_CLIENT_KEY",
        }
        return {variable: self.found.text(name) for name, variable in names.items() if name in self.found}

    def _proxy(self) -> int:
        """The port of the proxy on loopback; 0 for none."""
        found = self.found
        port = found.number("agent-cache-listener-port", least=1024, most=65535)
        uses = found.text("agent-cache-use-auto-auth-token", "true")
        if not found.truth("agent-cache-enable"):
            return 0
        if uses != "true":
            raise found.wrong(
                "agent-cache-use-auto-auth-token", 'not "true", and a proxy has the agent\'s token'
            )
        return port or 8200
