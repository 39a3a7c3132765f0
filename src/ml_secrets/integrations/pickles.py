"""What is pickled into a file, a checkpoint or a message: `pickle`, `cloudpickle` (closures by value), `torch.save`, `joblib.dump`, Ray's copy of cloudpickle.

What goes to worker processes of one's own through multiprocessing, or joblib's loky, is no sink and passes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from ml_secrets.redaction.patches import Patches
from ml_secrets.redaction.payload import Checked, checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.redaction.leaks import Clean


_WORKERS: Final = ("joblib.externals.loky.", "loky.")


def guard(clean: Clean) -> Callable[[], None]:
    """For `pickle` itself, and so for torch.save and all who ask `pickle.Pickler` for one."""
    import multiprocessing.reduction  # noqa: F401, PLC0415 - takes the Pickler that there was
    import pickle  # noqa: PLC0415 - as above

    patches = Patches()
    patches.around(pickle, "dumps", lambda original, *a, **k: checked(original(*a, **k), clean, "a pickle"))
    patches.around(
        pickle,
        "dump",
        lambda original, obj, file, *a, **k: original(obj, Checked(file, clean, "a pickle"), *a, **k),
    )

    class Pickler(pickle.Pickler):
        """The same, and what it writes is looked through."""

        def __init__(self, file: Any, *args: Any, **kwargs: Any) -> None:
            looked_through = isinstance(file, Checked) or _for_a_worker(self) or not patches.on
            super().__init__(file if looked_through else Checked(file, clean, "a pickle"), *args, **kwargs)

    Pickler.__qualname__, Pickler.__module__ = "Pickler", "pickle"
    patches.swap(pickle, "Pickler", Pickler)
    return patches.take_off


def guard_cloudpickle(clean: Clean) -> Callable[[], None]:
    """Cloudpickle."""
    return _around(clean, "cloudpickle.cloudpickle")


def guard_ray(clean: Clean) -> Callable[[], None]:
    """Ray's copy of it."""
    return _around(clean, "ray.cloudpickle.cloudpickle")


def guard_joblib(clean: Clean) -> Callable[[], None]:
    """`joblib.dump`, compressed or not."""
    return _around(clean, "joblib.numpy_pickle", "NumpyPickler")


def _around(clean: Clean, module: str, kind: str = "CloudPickler") -> Callable[[], None]:
    where = f"a payload of {module.partition('.')[0]}"

    def init(original: Any, pickler: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        original(pickler, file if _for_a_worker(pickler) else Checked(file, clean, where), *args, **kwargs)

    patches = Patches()
    patches.around(getattr(sys.modules[module], kind), "__init__", init)
    return patches.take_off


def _for_a_worker(pickler: Any) -> bool:
    return type(pickler).__module__.startswith(_WORKERS)
