"""MLflow: parameters, tags, names, data sets, artifacts and traces, before they are sent to a store of any kind.

Parameters and tags pass through the entities that all stores take; artifacts through the repository that MLflow chooses for an address; traces through the attributes,
events and states of spans. Metrics are numbers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.redaction.files import clean_file, clean_folder
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_NAMED: Final = {
    "mlflow.entities": (
        "ExperimentTag",
        "InputTag",
        "LoggedModelParameter",
        "LoggedModelTag",
        "Param",
        "RunTag",
    ),
    "mlflow.entities.model_registry": ("ModelVersionTag", "RegisteredModelTag"),
}
"""Entities of a key and a value."""


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()
    _entities(patches, clean)
    _names(patches, clean)
    _artifacts(patches, clean)
    _traces(patches, clean)
    return patches.take_off


def _entities(patches: Patches, clean: Clean) -> None:
    def init(original: Any, entity: Any, key: Any, value: Any) -> None:
        ((name, text),) = clean.named(
            {clean(key, "MLflow"): value}, f"MLflow's {type(entity).__name__} {key!r}"
        ).items()
        original(entity, name, text)

    for module, kinds in _NAMED.items():
        for kind in kinds:
            if found := getattr(import_module(module), kind, None):
                patches.around(found, "__init__", init)


def _names(patches: Patches, clean: Clean) -> None:
    """What is given as plain text: names of runs and experiments, sources of data sets, tags of traces."""

    def passed(original: Any, it: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = clean((args, kwargs), f"MLflow's {original.__name__}")
        return original(it, *args, **kwargs)

    client = import_module("mlflow.tracking._tracking_service.client").TrackingServiceClient
    tracing = import_module("mlflow.tracing.client").TracingClient
    dataset = import_module("mlflow.entities").Dataset
    for owner, names in (
        (client, ("create_run", "create_experiment", "rename_experiment", "update_run")),
        (tracing, ("start_trace", "set_trace_tag", "set_trace_tags", "log_assessment")),
        (dataset, ("__init__",)),
    ):
        for name in names:
            if hasattr(owner, name):
                patches.around(owner, name, passed)


def _artifacts(patches: Patches, clean: Clean) -> None:
    registry = import_module("mlflow.store.artifact.artifact_repository_registry")

    def choose(original: Any, it: Any, *args: Any, **kwargs: Any) -> Any:
        repository = original(it, *args, **kwargs)
        for name, cleaned in (("log_artifact", clean_file), ("log_artifacts", clean_folder)):
            upload = getattr(repository, name, None)
            if upload is not None:
                setattr(repository, name, _uploading(upload, cleaned, patches, clean))
        return repository

    patches.around(registry.ArtifactRepositoryRegistry, "get_artifact_repository", choose)


def _uploading(upload: Any, cleaned: Any, patches: Patches, clean: Clean) -> Any:
    def uploading(*args: Any, **kwargs: Any) -> Any:
        if not patches.on:
            return upload(*args, **kwargs)
        name = next((each for each in ("local_file", "local_dir", "local_path") if each in kwargs), "")
        with cleaned(kwargs.pop(name) if name else args[0], clean, "MLflow's artifacts") as path:
            return upload(str(path), *args[0 if name else 1 :], **kwargs)

    return uploading


def _traces(patches: Patches, clean: Clean) -> None:
    span = import_module("mlflow.entities.span")

    def attribute(original: Any, attributes: Any, key: Any, value: Any) -> None:
        original(attributes, key, clean.named({key: value}, "MLflow's traces")[key])

    def told(original: Any, live: Any, what: Any) -> None:
        original(live, clean(what, "MLflow's traces"))

    patches.around(span._SpanAttributesRegistry, "set", attribute)  # noqa: SLF001 - where all attributes pass
    patches.around(span.LiveSpan, "add_event", told)
    patches.around(span.LiveSpan, "set_status", told)
