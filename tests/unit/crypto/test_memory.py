import os
import subprocess
import sys

from ml_secrets.crypto.memory import KeyMemory, _locked_page, wipe


def test_keys_are_kept_and_wiped():
    """What was kept is there until `wipe`, and zero after it, for whoever still holds it."""
    memory = KeyMemory()
    keys = [os.urandom(32) for _ in range(300)]
    places = [memory.keep(key) for key in keys]
    assert [bytes(place) for place in places] == keys
    memory.wipe()
    assert all(bytes(place) == bytes(32) for place in places)


def test_a_kernel_without_secret_memory_gives_locked_pages(monkeypatch):
    """The fallback holds keys just the same, and says that it is one."""
    monkeypatch.setattr("ml_secrets.crypto.memory._secret_page", lambda: None)
    memory = KeyMemory()
    assert bytes(memory.keep(b"k" * 32)) == b"k" * 32
    assert not memory.secret
    assert len(_locked_page()) == os.sysconf("SC_PAGESIZE")


def test_wipe_overwrites():
    """A buffer is zero afterwards."""
    buffer = bytearray(b"fake")
    wipe(buffer)
    assert buffer == bytes(4)


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
