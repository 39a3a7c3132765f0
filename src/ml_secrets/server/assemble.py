"""The one place that picks concrete parts, and the only one that reads the clock: settings in, a working server out."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ml_secrets import catalog
from ml_secrets.barrier.anchor import Anchor
from ml_secrets.barrier.barrier import Barrier
from ml_secrets.dialects.vault import wire
from ml_secrets.pipeline.devices import AuditTrail
from ml_secrets.pipeline.first_run import first_run, new_root_token
from ml_secrets.pipeline.handle import Pipeline
from ml_secrets.pipeline.house import House
from ml_secrets.pipeline.opening import Opening
from ml_secrets.pipeline.units import Units
from ml_secrets.registry.tokens import Keys
from ml_secrets.server.settings import settings_of
from ml_secrets.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.errors import MlSecretsError
    from ml_secrets.server.config import Config
    from ml_secrets.storage.interface import Storage

_log: Final = logging.getLogger("ml_secrets.server")


@dataclass(slots=True)
class Assembled:
    """A server without its edge. `close` seals it, closes its devices and gives up its files."""

    config: Config
    house: House
    pipeline: Pipeline
    opening: Opening
    barrier: Barrier
    storage: Storage

    def close(self) -> None:
        """Stop serving: seal, close, release. Idempotent."""
        if not self.opening.sealed:
            self.opening.seal()
        self.storage.close()
