"""The containers and volumes that a pod is given.

The volume is in memory. Our containers see all of it at ROOT and make the folder of the files within, closed to everybody else; the pod's
containers see that folder alone, read-only, as the kubelet mounts it for them once ours have made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.integrations.kubernetes import texts
from ml_secrets.integrations.kubernetes.injection import OURS
from ml_secrets.integrations.kubernetes.logins import IDENTITY

if TYPE_CHECKING:
    from ml_secrets.integrations.kubernetes.injection import Injection
    from ml_secrets.integrations.kubernetes.settings import Settings

CONFIG: Final = "/etc/ml-secrets/pod"
AGENT, FETCH, AUTHORITY = "agent.toml", "fetch.toml", "ca.crt"
CONFIGS: Final = "/vault/configs"
TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_WAIT: Final = 5
_TRIES: Final = 120


@dataclass(frozen=True, slots=True)
class Names:
    """What ours are called in this pod, so that nothing of its own is called so."""

    fetch: str
    agent: str
    files: str
    config: str
    identity: str
    more: str


@dataclass(frozen=True, slots=True)
class Made:
    """What is added. `below`: the folder of the volume that the pod's containers see. annotations: the texts that containers read."""

    init: tuple[dict[str, Any], ...]
    beside: tuple[dict[str, Any], ...]
    volumes: tuple[dict[str, Any], ...]
    annotations: dict[str, str]
    below: str


def make(injection: Injection, settings: Settings, names: Names, user: int, group: int) -> Made:
    """Everything for one pod."""
    return _Making(injection, settings, names, user, group).made()


class _Making:
    def __init__(self, injection: Injection, settings: Settings, names: Names, user: int, group: int) -> None:
        self._injection = injection
        self._settings = settings
        self._names = names
        self._who = (user, group)
        self._root, self._below = (
            ("/vault", "secrets") if injection.configmap else ("/run/ml-secrets", "files")
        )
        self._texts = self._annotations()

    def made(self) -> Made:
        stays, native = self._injection.stays, self._settings.native and not self._injection.configmap
        init: list[dict[str, Any]] = []
        if not (stays and native):
            init.append(self._fetcher() if FETCH in self._texts else self._agent(once=True))
        if stays and native:
            init.append({**self._agent(once=False), "restartPolicy": "Always", "startupProbe": self._probe()})
        beside = (self._agent(once=False),) if stays and not native else ()
        return Made(tuple(init), beside, tuple(self._volumes()), self._texts, self._below)

    # ── what they read ──────────────────────────────────────────────────────────────────────────────────────────────

    def _annotations(self) -> dict[str, str]:
        found = {}
        if self._settings.cacert and "ML_SECRETS_CACERT" not in self._injection.environment:
            found[AUTHORITY] = self._settings.cacert
        if self._injection.configmap:
            return found
        if self._fetches():
            found[FETCH] = texts.for_fetch(self._injection)
        if self._injection.stays or not self._fetches():
            found[AGENT] = texts.for_agent(self._injection, f"{self._root}/{self._below}", self._socket)
        return found

    def _fetches(self) -> bool:
        """Is there an init container that `fetch` does for? One that is native and stays is the agent itself."""
        one = self._injection
        return (
            not (one.stays and self._settings.native)
            and not one.token
            and all(file.kind == "references" for file in one.files)
            and bool(one.files)
            and one.login.fetching() is not None
        )

    @property
    def _socket(self) -> str:
        return f"{self._root}/door/agent.sock"

    # ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _fetcher(self) -> dict[str, Any]:
        words, variables = self._injection.login.fetching() or ([], [])
        args = ["fetch", "--config", f"{CONFIG}/{FETCH}", "--to", f"{self._root}/{self._below}", *words]
        return self._container(self._names.fetch, args, variables)

    def _agent(self, *, once: bool) -> dict[str, Any]:
        config = f"{CONFIG}/{AGENT}"
        if self._injection.configmap:
            config = f"{CONFIGS}/config-init.hcl" if once else f"{CONFIGS}/config.hcl"
        args = ["agent", "run", "--config", config, *(["--once"] if once else [])]
        return self._container(self._names.fetch if once else self._names.agent, args, [])

    def _container(self, name: str, args: list[str], variables: list[dict[str, Any]]) -> dict[str, Any]:
        user, group = self._who
        settings, injection = self._settings, self._injection
        return {
            "name": name,
            "image": settings.image,
            "imagePullPolicy": settings.pull_policy,
            "command": ["ml-secrets"],
            "args": args,
            "env": [*self._environment(), *variables],
            "resources": {
                "requests": {**settings.requests, **injection.requests},
                "limits": {**settings.limits, **injection.limits},
            },
            "securityContext": {
                "runAsUser": user,
                "runAsGroup": group,
                "runAsNonRoot": True,
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": self._mounts(),
        }

    def _environment(self) -> list[dict[str, str]]:
        found = {"ML_SECRETS_ADDR": self._settings.address, "HOME": self._root}
        if self._settings.namespace:
            found["ML_SECRETS_NAMESPACE"] = self._settings.namespace
        if self._settings.cacert:
            found["ML_SECRETS_CACERT"] = f"{CONFIG}/{AUTHORITY}"
        return [
            {"name": name, "value": value} for name, value in {**found, **self._injection.environment}.items()
        ]

    def _probe(self) -> dict[str, Any]:
        """The pod's containers start once every file is there."""
        command = ["ml-secrets", "agent", "health", "--socket", self._socket]
        return {
            "exec": {"command": command},
            "periodSeconds": 1,
            "timeoutSeconds": _WAIT,
            "failureThreshold": _TRIES,
        }

    def _mounts(self) -> list[dict[str, Any]]:
        names, injection = self._names, self._injection
        found: list[dict[str, Any]] = [
            {"name": names.files, "mountPath": self._root},
            # A cluster mounts the service account's token into containers of webhooks, too, unless something is there.
            {"name": names.files, "mountPath": TOKEN, "subPath": "nothing", "readOnly": True},
        ]
        if self._texts:
            found.append({"name": names.config, "mountPath": CONFIG, "readOnly": True})
        if injection.login.volume() is not None:
            found.append({"name": names.identity, "mountPath": IDENTITY, "readOnly": True})
        more = [*injection.mounted_secrets, *([CONFIGS] if injection.configmap else [])]
        return found + [
            {"name": f"{names.more}-{number}", "mountPath": path, "readOnly": True}
            for number, path in enumerate(more)
        ]

    # ── volumes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _volumes(self) -> list[dict[str, Any]]:
        names, injection = self._names, self._injection
        memory = {"medium": "Memory", "sizeLimit": self._settings.size}
        found: list[dict[str, Any]] = [{"name": names.files, "emptyDir": memory}]
        if self._texts:
            items = [
                {"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{OURS}{name}']"}}
                for name in self._texts
            ]
            found.append({"name": names.config, "downwardAPI": {"defaultMode": 0o444, "items": items}})
        identity = injection.login.volume()
        if identity is not None:
            found.append({"name": names.identity, **identity})
        more: list[dict[str, Any]] = [
            {"secret": {"secretName": name, "defaultMode": 0o444}}
            for name in injection.mounted_secrets.values()
        ]
        if injection.configmap:
            more.append({"configMap": {"name": injection.configmap, "defaultMode": 0o444}})
        return found + [{"name": f"{names.more}-{number}", **one} for number, one in enumerate(more)]
