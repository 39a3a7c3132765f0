"""`AdmissionReview` of admission.k8s.io/v1: what an API server asks of a pod that is to be made, and what it is told.

- A pod that asks for nothing, or was injected already, is let through as it is; so is everything that is no new pod.
- What a pod asks for and cannot have is refused by name: it does not start without its secrets.
- Nothing is done but answering (sideEffects: None), so a dry run is answered as any other.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes import own_annotations, vault_annotations
from ml_secrets.integrations.kubernetes.annotations import Annotations
from ml_secrets.integrations.kubernetes.patch import INJECTED, patched

if TYPE_CHECKING:
    from ml_secrets.integrations.kubernetes.injection import Injection
    from ml_secrets.integrations.kubernetes.settings import Settings

VERSION: Final = "admission.k8s.io/v1"
_DIALECTS: Final = (own_annotations, vault_annotations)
_LONGEST_NOTE: Final = 250
_LONGEST_NAME: Final = 253
_LONGEST_PROBLEM: Final = 1000
_MOST: Final = 256 << 10
"""What all annotations of a pod may have together. A cluster looks at that only after it has asked us, as it does at names."""


class Kind(msgspec.Struct):
    """What kind of object it is."""

    group: str = ""
    version: str = ""
    kind: str = ""


class Request(msgspec.Struct, rename="camel"):
    """What is asked. Fields that we do not look at are left out."""

    uid: str
    kind: Kind
    operation: str
    object: dict[str, Any] | None = None
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False


class Review(msgspec.Struct, rename="camel"):
    """The whole document."""

    api_version: str
    kind: str
    request: Request


@dataclass(frozen=True, slots=True)
class Decided:
    """What an API server is told, and a line for the log. `patch` None: as it is. `refused`: why it is not let through."""

    uid: str
    patch: list[dict[str, Any]] | None
    refused: str
    notes: tuple[str, ...]
    line: str

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        response: dict[str, Any] = {"uid": self.uid, "allowed": not self.refused}
        if self.refused:
            response["status"] = {"code": 422, "reason": "Invalid", "message": f"ml-secrets: {self.refused}"}
        if self.patch is not None:
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(msgspec.json.encode(self.patch)).decode("ascii")
        if self.notes:
            response["warnings"] = [f"ml-secrets: {note}"[:_LONGEST_NOTE] for note in self.notes]
        return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}


def read(body: bytes) -> Request:
    """The request in a review. Raises `Invalid` for anything else."""
    try:
        review = msgspec.json.decode(body, type=Review)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid("this is no AdmissionReview", hint="an API server sends it") from None
    if review.kind != "AdmissionReview" or review.api_version != VERSION:
        raise Invalid(
            "this is no AdmissionReview that is known here",
            hint=f'admissionReviewVersions: ["v1"], {VERSION}',
        )
    return review.request


def decide(request: Request, settings: Settings) -> Decided:
    """What becomes of it. Raises nothing: what is unexpected is refused too."""
    shown = f"{request.namespace}/{_name_of(request)}{' (dry run)' if request.dry_run else ''}"
    try:
        found = _found(request, settings)
    except Invalid as error:
        return _refused(request, shown, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, its message and its frames may hold what a pod says
        return _refused(request, shown, f"the pod is not one that can be read ({type(error).__name__})")
    if found is None:
        return Decided(request.uid, None, "", (), f"{shown}: left as it is")
    steps, notes, injection = found
    return Decided(request.uid, steps, "", tuple(notes), f"{shown}: injected: {_told(injection)}")


def _refused(request: Request, shown: str, problem: str) -> Decided:
    told = problem[:_LONGEST_PROBLEM]
    return Decided(request.uid, None, told, (), f"{shown}: refused: {told}")


def _found(request: Request, settings: Settings) -> tuple[list[dict[str, Any]], list[str], Injection] | None:
    pod = request.object
    is_new_pod = request.kind.kind == "Pod" and not request.kind.group and request.operation == "CREATE"
    if not is_new_pod or request.sub_resource or pod is None:
        return None
    injection = wanted(pod["metadata"].get("annotations") or {}, settings)
    if injection is None:
        return None
    return *patched(pod, injection, settings), injection


def wanted(annotations: dict[str, str], settings: Settings) -> Injection | None:
    """What a pod's annotations ask for; None for nothing, and where it is there already."""
    if any(annotations.get(dialect.PREFIX + dialect.STATUS) == INJECTED for dialect in _DIALECTS):
        return None
    odd = next((name for name, text in annotations.items() if not isinstance(text, str)), None)
    if odd is not None:
        raise Invalid(f"the annotation {odd} is no text", hint='put it in quotes: "true"')
    if sum(len(name) + len(text) for name, text in annotations.items()) > _MOST:
        raise Invalid(
            f"the pod's annotations are longer than {_MOST >> 10} KiB together", hint="no cluster takes them"
        )
    found = [
        injection
        for dialect in _DIALECTS
        if any(name.startswith(dialect.PREFIX) for name in annotations)
        and (injection := dialect.read(Annotations(annotations, dialect.PREFIX), settings)) is not None
    ]
    if len(found) > 1:
        raise Invalid("the pod asks by our annotations and by Vault's", hint="keep one of the two")
    return found[0] if found else None


def _name_of(request: Request) -> str:
    metadata = (request.object or {}).get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    name = request.name or str(names.get("name") or f"{names.get('generateName', '')}…")
    return name[:_LONGEST_NAME]


def _told(injection: Injection) -> str:
    kind = "kept fresh" if injection.stays else "written once"
    return f"{len(injection.files)} files, {kind}, by {injection.login.method}"
