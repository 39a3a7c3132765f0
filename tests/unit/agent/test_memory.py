"""Files in memory without a name, and the folder in memory that nobody named."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ml_secrets import Denied, Sensitive
from ml_secrets.agent import memory, runtime
from ml_secrets.agent.files import File
from ml_secrets.agent.memory import in_memory, memory_file, memory_path
from ml_secrets.agent.runtime import runtime_folder

VALUE = Sensitive("fake-value-of-a-test")


@pytest.fixture
def opened():
    made = memory_file("db_password", VALUE)
    yield made
    os.close(made)


def test_a_child_that_inherits_it_reads_it_by_path_as_often_as_it_likes(opened):
    """And by the descriptor, from its beginning."""
    program = "import os, sys; n = int(sys.argv[1]); [print(open(f'/proc/self/fd/{n}').read()) for _ in 'ab']; print(os.read(n, 99).decode())"
    command = [sys.executable, "-c", program, str(opened)]
    read = subprocess.run(command, pass_fds=[opened], capture_output=True, text=True, check=True).stdout
    assert read.split() == [VALUE.reveal()] * 3
    assert memory_path(opened) == f"/proc/self/fd/{opened}"
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    assert without.returncode
    assert VALUE.reveal() not in without.stdout


def test_it_cannot_be_changed_any_more(opened):
    """Sealed against writing, growing, shrinking and unsealing; for its owner alone."""
    assert stat.S_IMODE(os.fstat(opened).st_mode) == 0o400
    for change in (
        lambda: os.write(opened, b"x"),
        lambda: os.ftruncate(opened, 0),
        lambda: os.ftruncate(opened, 999),
        lambda: fcntl.fcntl(opened, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    ):
        with pytest.raises(OSError, match="not permitted"):
            change()


def test_it_is_not_inherited_by_chance(opened):
    """Only a child to whom it is passed has it, and it shows a name and no value in /proc."""
    assert not os.get_inheritable(opened)
    shown = str(Path(f"/proc/self/fd/{opened}").readlink())
    assert "db_password" in shown
    assert VALUE.reveal() not in shown


def test_a_kernel_without_the_newest_flag_will_do(monkeypatch):
    """MFD_NOEXEC_SEAL is of Linux 6.3."""
    monkeypatch.setattr(memory, "_NOEXEC", 0x4000_0000)
    opened = memory_file("x", VALUE)
    assert os.read(opened, 99) == VALUE.reveal_bytes()
    os.close(opened)


def test_a_value_that_is_no_text_leaves_no_file_open():
    """What cannot be written is an error, and nothing stays behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ValueError, match="not UTF-8"):
        memory_file("x", Sensitive("\udcff"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(("path", "answer"), [("/dev/shm", True), ("/proc", False)])
def test_the_type_of_the_file_system_is_asked(path, answer):
    """tmpfs is memory, whatever its path; others are not."""
    opened = os.open(path, os.O_RDONLY)
    assert in_memory(opened) is answer
    os.close(opened)
    with pytest.raises(OSError, match="Bad file descriptor"):
        in_memory(opened)


def test_the_folder_that_nobody_named_is_the_users_own(room):
    """$XDG_RUNTIME_DIR where it is theirs and in memory."""
    with runtime_folder("fetched", {"XDG_RUNTIME_DIR": str(room)}) as folder:
        assert folder.path == room / "ml-secrets" / "fetched"
        folder.write(File("a", VALUE))
    assert stat.S_IMODE((room / "ml-secrets").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "environ",
    [{}, {"XDG_RUNTIME_DIR": "relative"}, {"XDG_RUNTIME_DIR": "/nonexistent"}, {"XDG_RUNTIME_DIR": "/proc"}],
)
def test_else_it_is_one_of_their_own_in_shared_memory(environ):
    """/dev/shm/ml-secrets-UID."""
    name = f"test-{os.getpid()}"
    with runtime_folder(name, environ) as folder:
        assert folder.path == Path(f"/dev/shm/ml-secrets-{os.geteuid()}") / name
        folder.destroy()


def test_where_neither_will_do_it_is_refused_with_both_reasons(monkeypatch, tmp_path):
    """And nothing is made on a disk."""
    monkeypatch.setattr(
        runtime.places, "runtime_dirs", lambda _: iter([tmp_path / "run/x", tmp_path / "shm/x"])
    )
    (tmp_path / "run").mkdir()
    with pytest.raises(Denied) as refused:
        runtime_folder("x", {"XDG_RUNTIME_DIR": str(tmp_path / "run")})
    assert "not in memory" in str(refused.value)
    assert "there is no folder" in str(refused.value)
    assert list((tmp_path / "run").rglob("*")) == []
