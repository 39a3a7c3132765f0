"""Do something when a module is imported: now, if it has been."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    PutOn = Callable[[], Callable[[], None]]


def when_imported(module: str, put_on: PutOn) -> Callable[[], None]:
    """Call `put_on` once the module is there. Gives what undoes it, or keeps it from being done."""
    waiting = Waiting(module, put_on)
    if module in sys.modules:
        waiting.arrived()
    else:
        sys.meta_path.insert(0, waiting)
    return waiting.over


class Waiting(MetaPathFinder):
    """Finds nothing itself: it sees to it that the module's own loader is followed by `put_on`."""

    def __init__(self, module: str, put_on: PutOn) -> None:
        self._module, self._put_on = module, put_on
        self._take_off: Callable[[], None] | None = None
        self._asked = False

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """The spec that the others find, with a loader of ours around its own."""
        if name != self._module or self._asked:
            return None
        self._asked = True
        try:
            spec = find_spec(name)
        finally:
            self._asked = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Followed(spec.loader, self.arrived)
        return spec

    def arrived(self) -> None:
        """The module is there."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._take_off = self._put_on()

    def over(self) -> None:
        """Wait no more; take off what was put on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._take_off is not None:
            self._take_off()


class _Followed(Loader):
    def __init__(self, loader: Any, after: Callable[[], None]) -> None:
        self._loader, self._after = loader, after

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._after()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
