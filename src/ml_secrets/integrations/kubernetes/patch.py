"""The JSON patch (RFC 6902) that gives a pod what it asks for. Only additions: nothing of the pod's own is changed.

1. Whose containers see the files, and who they run as.   2. Names that the pod has not.   3. Volumes, containers, mounts, variables.
4. Annotations: what our containers read, and that it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes import containers
from ml_secrets.integrations.kubernetes.containers import Names
from ml_secrets.integrations.kubernetes.injection import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ml_secrets.integrations.kubernetes.injection import Injection
    from ml_secrets.integrations.kubernetes.settings import Settings

_LISTS: Final = ("containers", "initContainers")
INJECTED: Final = "injected"


def patched(
    pod: dict[str, Any], injection: Injection, settings: Settings
) -> tuple[list[dict[str, Any]], list[str]]:
    """The patch, and what is to be said of it. Raises `Invalid` where the pod cannot have what it asks for."""
    return _Patch(pod, injection, settings).made()


class _Patch:
    def __init__(self, pod: dict[str, Any], injection: Injection, settings: Settings) -> None:
        self._spec: dict[str, Any] = pod["spec"]
        self._injection = injection
        self._settings = settings
        self._steps: list[dict[str, Any]] = []
        self._notes = list(injection.notes)

    def made(self) -> tuple[list[dict[str, Any]], list[str]]:
        self._check_pod()
        seeing = list(self._seeing())
        self._check_mounts(seeing)
        user, group = self._who([one for _, one in seeing])
        made = containers.make(self._injection, self._settings, self._names(), user, group)
        self._append("/spec/volumes", self._spec.get("volumes"), made.volumes)
        for pointer, one in seeing:  # before containers are added: these stand where they stood
            self._see(pointer, one, made)
        self._append(
            "/spec/initContainers", self._spec.get("initContainers"), made.init, first=self._injection.first
        )
        self._append("/spec/containers", self._spec["containers"], made.beside)
        if self._injection.share_processes:
            self._add("/spec/shareProcessNamespace", True)
        self._annotate(made.annotations)
        return self._steps, self._notes

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, pointer: str, value: Any) -> None:
        self._steps.append({"op": "add", "path": pointer, "value": value})

    def _append(
        self, pointer: str, there: list[Any] | None, more: Sequence[Any], *, first: bool = False
    ) -> None:
        """Put `more` at the end of a list, or before it; where there is none, they are the list."""
        if not there and more:
            self._add(pointer, list(more))
        elif there:
            for one in reversed(more) if first else more:
                self._add(f"{pointer}/{0 if first else '-'}", one)

    def _see(self, pointer: str, container: dict[str, Any], made: containers.Made) -> None:
        """Let a container see the files, and its variables say where they are."""
        mount = {
            "name": made.volumes[0]["name"],
            "mountPath": self._injection.folder,
            "subPath": made.below,
            "readOnly": True,
        }
        self._append(f"{pointer}/volumeMounts", container.get("volumeMounts"), [mount])
        variables = [{"name": name, "value": path} for name, path in self._injection.variables.items()]
        self._append(f"{pointer}/env", container.get("env"), variables)

    def _annotate(self, more: dict[str, str]) -> None:
        for name, text in more.items():
            self._add(f"/metadata/annotations/{_pointed(OURS + name)}", text)
        self._add(f"/metadata/annotations/{_pointed(self._injection.status)}", INJECTED)

    # ── what has to hold ────────────────────────────────────────────────────────────────────────────────────────────

    def _check_pod(self) -> None:
        systems = {
            (self._spec.get("os") or {}).get("name", "linux"),
            (self._spec.get("nodeSelector") or {}).get("kubernetes.io/os", "linux"),
        }
        if systems != {"linux"}:
            raise Invalid("the pod is for another system than Linux")
        if self._injection.share_processes and self._spec.get("shareProcessNamespace") is False:
            raise Invalid(
                "the pod says itself that its containers share no processes", hint="keep one of the two"
            )
        if self._spec.get("hostNetwork") and self._injection.proxy_port:
            raise Invalid("a proxy on loopback would be the whole node's: the pod has hostNetwork")

    def _seeing(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The containers that see the files, and where they stand. Init containers do if ours comes first."""
        wanted = set(self._injection.containers)
        for kind in _LISTS:
            if kind == "initContainers" and not self._injection.first:
                continue
            for number, one in enumerate(self._spec.get(kind) or []):
                if not self._injection.containers or one["name"] in wanted:
                    wanted.discard(one["name"])
                    yield f"/spec/{kind}/{number}", one
        if wanted:
            raise Invalid(f"the pod has no container {min(wanted)!r} that would see its files")

    def _check_mounts(self, seeing: list[tuple[str, dict[str, Any]]]) -> None:
        for _, one in seeing:
            if any(
                mount["mountPath"].rstrip("/") == self._injection.folder
                for mount in one.get("volumeMounts") or []
            ):
                raise Invalid(
                    f"the container {one['name']!r} has something else mounted where its files would be",
                    hint="choose another folder",
                )
            taken = {entry["name"] for entry in one.get("env") or []} & set(self._injection.variables)
            if taken:
                raise Invalid(f"the container {one['name']!r} has a variable {min(taken)} already")

    def _who(self, seeing: list[dict[str, Any]]) -> tuple[int, int]:
        """Whose the files are: the containers' user. Root reads what is anybody's, so its files are our own user's."""
        user = self._injection.user or self._said("runAsUser", seeing) or self._settings.user
        group = self._injection.group or self._said("runAsGroup", seeing) or self._settings.group
        return user, group

    def _said(self, name: str, seeing: list[dict[str, Any]]) -> int:
        """What the containers' security contexts say; 0 where they say nothing, or root."""
        of_pod = (self._spec.get("securityContext") or {}).get(name)
        said = {(one.get("securityContext") or {}).get(name, of_pod) for one in seeing}
        if len(said) > 1 and name == "runAsUser":
            raise Invalid(
                "the containers that see the files run as different users",
                hint="say whose files they are (ml-secrets.io/user), or which containers see them",
            )
        found = next(iter(said)) if len(said) == 1 else None
        if not found and name == "runAsUser":
            self._notes.append(
                f"the files belong to user {self._settings.user}: root reads them, any other user only where runAsUser says who it is"
            )
        return found or 0

    def _names(self) -> Names:
        there = {one["name"] for kind in _LISTS for one in self._spec.get(kind) or []}
        volumes = {one["name"] for one in self._spec.get("volumes") or []}
        return Names(
            fetch=_free("ml-secrets-fetch", there),
            agent=_free("ml-secrets-agent", there),
            files=_free("ml-secrets-files", volumes),
            config=_free("ml-secrets-config", volumes),
            identity=_free("ml-secrets-identity", volumes),
            more=_free("ml-secrets-more", {name.rpartition("-")[0] for name in volumes}),
        )


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _pointed(name: str) -> str:
    """A name within a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
