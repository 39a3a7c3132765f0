"""TensorBoard: texts, hyperparameters and tags of every event that is written, by `tensorboard`, `torch.utils.tensorboard` or `tensorboardX`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml_secrets.errors import Leaked
from ml_secrets.integrations.messages import clean_message
from ml_secrets.redaction.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean

_WHERE = "TensorBoard"


def guard(clean: Clean) -> Callable[[], None]:
    """Tensorboard and torch.utils.tensorboard."""
    return _around(clean, "tensorboard.summary.writer.event_file_writer").take_off


def guard_tensorboardx(clean: Clean) -> Callable[[], None]:
    """TensorboardX. It replaces signs in tags by `_`, after which no value would be found in them."""
    patches = _around(clean, "tensorboardX.event_file_writer")

    def clean_tag(original: Any, name: Any) -> Any:
        return original(clean(name, _WHERE))

    patches.around(import_module("tensorboardX.summary"), "_clean_tag", clean_tag)
    return patches.take_off


def _around(clean: Clean, module: str) -> Patches:
    patches = Patches()

    def add_event(original: Any, writer: Any, event: Any) -> Any:
        _clean_plugins(event, clean)
        clean_message(event, clean, _WHERE)
        return original(writer, event)

    patches.around(sys.modules[module].EventFileWriter, "add_event", add_event)
    return patches


def _clean_plugins(event: Any, clean: Clean) -> None:
    """Content of plug-ins is a message within a message: its bytes cannot be masked, its fields can."""
    for value in event.summary.value:
        data = value.metadata.plugin_data
        if names := clean.names_in(data.content):
            if data.plugin_name != "hparams":
                raise Leaked(
                    f"the TensorBoard plug-in {data.plugin_name} was given the value of {', '.join(sorted(names))}"
                )
            data.content = _hyperparameters(data.content, clean)


def _hyperparameters(content: bytes, clean: Clean) -> bytes:
    message = import_module("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData.FromString(
        content
    )
    clean_message(message, clean, _WHERE)
    masked: bytes = message.SerializeToString()
    return masked
