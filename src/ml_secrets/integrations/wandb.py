"""Weights & Biases: every record that a run sends to its service: configuration, arguments, console, history, summary, notes, names; and files of artifacts.

It stands where all records pass, so it holds online, offline and for what is added to the library later. The settings of a login do not pass
there: the API key goes to the service as it must.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_secrets.errors import Leaked
from ml_secrets.integrations.messages import clean_message
from ml_secrets.redaction.files import clean_file
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_WHERE = "Weights & Biases"


def guard(clean: Clean) -> Callable[[], None]:
    """Put it on; gives what takes it off."""
    patches = Patches()

    def send(original: Any, it: Any, record: Any, **kwargs: Any) -> Any:
        _by_name(record, clean)
        clean_message(record, clean, _WHERE)
        return original(it, record, **kwargs)

    sender = import_module("wandb.sdk.interface.interface_sock").InterfaceSock
    for name in ("_publish", "_deliver", "deliver_async"):
        patches.around(sender, name, send)
    _settings(patches, clean)
    _artifacts(patches, clean)
    _media(patches, clean)
    return patches.take_off


def _settings(patches: Patches, clean: Clean) -> None:
    """The command line comes to the service among the settings."""

    def to_proto(original: Any, it: Any) -> Any:
        settings = original(it)
        arguments = settings._args.value  # noqa: SLF001 - so it is called there
        masked = clean.named(list(arguments), f"{_WHERE}: arguments")
        if masked != list(arguments):
            arguments[:] = masked
        for name in ("run_name", "run_notes", "run_group"):
            clean_message(getattr(settings, name), clean, f"{_WHERE}: {name}")
        return settings

    patches.around(import_module("wandb.sdk.wandb_settings").Settings, "to_proto", to_proto)


def _by_name(record: Any, clean: Clean) -> None:
    """The names of a configuration may say that a value is a secret."""
    configs = [record.config, record.run.config] if record.HasField("run") else [record.config]
    for config in configs:
        for item in config.update:
            _config(item, clean)


def _config(item: Any, clean: Clean) -> None:
    name = item.key or (item.nested_key[-1] if item.nested_key else "")
    value = json.loads(item.value_json)
    masked = clean.named({name: value}, f"{_WHERE}: config")[name]
    if masked != value:
        item.value_json = json.dumps(masked)


def _artifacts(patches: Patches, clean: Clean) -> None:
    artifact = import_module("wandb.sdk.artifacts.artifact").Artifact

    def add(original: Any, it: Any, name: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
        with clean_file(path, clean, f"{_WHERE}: artifact") as file:
            kwargs = (
                kwargs if file == path else {**kwargs, "policy": "mutable", "digest": None}
            )  # copied, and counted anew
            return original(it, name, path if str(file) == str(path) else file, *args, **kwargs)

    patches.around(artifact, "_add_local_file", add)


def _media(patches: Patches, clean: Clean) -> None:
    """Tables, plots and texts are written to a file of wandb's own, which is masked where it lies."""
    media = import_module("wandb.sdk.data_types.base_types.media").Media

    def set_file(original: Any, it: Any, path: Any, is_tmp: Any = False, extension: Any = None) -> None:
        with clean_file(path, clean, f"{_WHERE}: media") as file:
            if str(file) != str(path) and is_tmp:
                Path(path).write_bytes(file.read_bytes())
            elif str(file) != str(path):
                raise Leaked(
                    f"{_WHERE} would have been given a value in {file.name}", hint="write it without"
                )
        original(it, path, is_tmp=is_tmp, extension=extension)

    patches.around(media, "_set_file", set_file)
