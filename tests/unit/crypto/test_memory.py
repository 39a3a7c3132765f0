import gc
import os
import subprocess
import sys

import pytest

from ml_secrets.crypto import memory
from ml_secrets.crypto.memory import KeyMemory, _locked_page, wipe


def test_keys_are_kept_and_wiped():
    """What was kept is there until `wipe`, and zero after it, for whoever still holds it."""
    room = KeyMemory()
    keys = [os.urandom(32) for _ in range(300)]
    places = [room.keep(key) for key in keys]
    assert [bytes(place) for place in places] == keys
    room.wipe()
    assert all(bytes(place) == bytes(32) for place in places)


def test_a_kernel_without_secret_memory_gives_locked_pages(monkeypatch):
    """The fallback holds keys just the same, and says that it is one."""
    monkeypatch.setattr("ml_secrets.crypto.memory._secret_page", lambda: None)
    room = KeyMemory()
    assert bytes(room.keep(b"k" * 32)) == b"k" * 32
    assert not room.secret
    assert len(_locked_page()) == os.sysconf("SC_PAGESIZE")


def test_wipe_overwrites():
    """A buffer is zero afterwards."""
    buffer = bytearray(b"fake")
    wipe(buffer)
    assert buffer == bytes(4)


FORKED = """
import os, sys
from ml_secrets.crypto import memory

if sys.argv[1] == "locked":
    memory._secret_page = lambda: None
files = len(os.listdir("/proc/self/fd"))
keys = memory.KeyMemory()
place = keys.keep(b"k" * 32)
assert len(os.listdir("/proc/self/fd")) == files
if os.fork() == 0:
    found = bytes(place)
    place[:] = b"x" * 32
    keys.wipe()
    if os.fork() == 0:
        print("grandchild", memory.KeyMemory().keep(b"y" * 32).hex()[:4], found.hex()[:4], flush=True)
        sys.exit()
    os.wait()
    sys.exit()
os.wait()
print("parent", place.hex()[:4], flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["secret", "locked"])
def test_a_forked_child_has_no_part_in_the_keys(kind):
    """It finds zeros, may write and wipe without harm to the parent, and has room for keys of its own; no file leads to them."""
    command = [sys.executable, "-c", FORKED, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["grandchild 7979 0000", "parent 6b6b"]


@pytest.mark.parametrize("failing", ["mmap", "madvise"])
def test_secret_memory_that_a_child_would_share_is_not_used(monkeypatch, failing):
    """A kernel that gives it and then refuses to map it, or to keep it from children: locked pages instead, nothing left behind."""
    call = memory._call

    class Refusing:
        def __getattr__(self, name):
            if name == failing == "mmap":
                return lambda *_: memory._MAP_FAILED
            return getattr(real, name)

    real = memory._libc
    monkeypatch.setattr(memory, "_libc", Refusing())
    monkeypatch.setattr(memory, "_call", lambda name, *rest: name != failing and call(name, *rest))
    before = set(memory._addresses)
    keys = KeyMemory()
    assert bytes(keys.keep(b"k" * 32)) == b"k" * 32
    assert not keys.secret
    assert memory._addresses == before


def test_memory_that_nobody_holds_is_given_back():
    """Opening and sealing over and over takes no more of it."""
    before = len(memory._addresses)
    for _ in range(3):
        KeyMemory().keep(b"k" * 32)
    gc.collect()
    assert len(memory._addresses) <= before


PROGRAM = """
import ctypes, os, resource
from ml_secrets.crypto.memory import harden_process
failed = harden_process(lock_memory={lock})
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), failed, flush=True)
os.abort()
"""


def harden(folder, *, lock):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(lock=lock)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
        check=False,
    )


def test_a_hardened_process_leaves_no_core(tmp_path):
    """SIGABRT leaves no file; the process is not dumpable."""
    done = harden(tmp_path, lock=False)
    assert done.returncode == -6
    assert done.stdout.startswith("(0, 0) 0 ")
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_done_is_said():
    """Locking all memory against a limit that does not allow it fails with a text, not with an error."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))\n"
    code += "import os; os.geteuid() or os.setuid(65534)\n" if os.geteuid() == 0 else ""
    program = (
        "from ml_secrets.crypto.memory import harden_process\n"
        + code
        + "print(harden_process(lock_memory=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd="/", timeout=60, check=True
    )
    assert "the memory could not be locked" in done.stdout
