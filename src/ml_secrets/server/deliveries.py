"""Sends what waits for webhooks: each webhook in a thread of its own while it has something, so that none waits for another.

These threads hold nothing up when the server stops: what was not recorded by then is delivered again at the next start.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from ml_secrets.errors import MlSecretsError
from ml_secrets.server.ticker import Job
from ml_secrets.upkeep import deliver

if TYPE_CHECKING:
    from ml_secrets.pipeline.house import House
    from ml_secrets.upkeep.deliver import Post

AT_ONCE: Final = 8
EVERY: Final = 0.25
_log: Final = logging.getLogger("ml_secrets.webhooks")


class Deliveries:
    """The deliveries of one server. `post` is `Outbound.post`."""

    def __init__(self, house: House, post: Post) -> None:
        self._house = house
        self._post = post
        self._under_way: set[str] = set()
        self._seen = -1
        self._waits = False

    def job(self) -> Job:
        """The upkeep that begins them."""
        return Job("delivery of webhooks", EVERY, self.run_once)

    def run_once(self) -> bool:
        """Begin what is due. Nothing is looked at where nothing was written, and nothing waits for its next try."""
        house = self._house
        if house.seal.sealed:
            return False
        stamp = house.units.stamp
        if stamp == self._seen and not self._waits:
            return False
        names, self._waits = deliver.due(house, house.clock())
        self._seen = stamp
        for name in names:
            if name not in self._under_way and len(self._under_way) < AT_ONCE:
                self._under_way.add(name)
                threading.Thread(target=self._deliver, args=(name,), name="webhook", daemon=True).start()
        return False

    def _deliver(self, name: str) -> None:
        try:
            while deliver.run_once(self._house, name, self._post):
                pass
        except MlSecretsError as error:  # sealed or stopped meanwhile
            _log.info("webhook %s: %s", name, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the next round is due whatever one meets; a traceback may hold values
            _log.error("webhook %s failed: %s", name, type(error).__name__)
        finally:
            self._under_way.discard(name)
