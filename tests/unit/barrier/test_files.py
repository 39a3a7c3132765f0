"""Files that are whole or not there, whoever is killed meanwhile."""

import os
import subprocess
import sys

import pytest

from ml_secrets.barrier import files
from ml_secrets.barrier.files import remove_leftovers, replacing

WRITER = """
import pathlib, sys
from ml_secrets.barrier.files import replacing
with replacing(pathlib.Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing `anchor`."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "anchor")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"half\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, content=b"whole"):
    with replacing(path) as file:
        file.write(content)


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path, writer):
    """Nothing piles up beside the file; files of other names stay."""
    (tmp_path / ".other.1.part").touch()
    writer.kill()
    writer.wait()
    assert f".anchor.{writer.pid}.part" in names(tmp_path)
    write(tmp_path / "anchor")
    assert names(tmp_path) == [".other.1.part", "anchor"]
    assert (tmp_path / "anchor").stat().st_mode & 0o777 == 0o600


def test_what_a_process_is_writing_stays(tmp_path, writer):
    """Two may write the same file; the last one to end has it."""
    write(tmp_path / "anchor")
    assert f".anchor.{writer.pid}.part" in names(tmp_path)
    writer.communicate()
    assert names(tmp_path) == ["anchor"]
    assert (tmp_path / "anchor").read_bytes() == b"half"


def test_a_writer_that_is_somebody_elses_process_lives(tmp_path, monkeypatch):
    """The system does not let us ask it, which is an answer."""

    def kill(process, number):
        raise PermissionError

    monkeypatch.setattr(files.os, "kill", kill)
    part = tmp_path / ".anchor.1.part"
    part.touch()
    remove_leftovers(tmp_path, "*")
    assert part.exists()


def test_leftovers_of_no_living_process_go(tmp_path):
    """Of this process (a container's always has the same number), of a number too large for one, of no number at all."""
    for writer_id in (str(os.getpid()), "nobody", "9" * 30):
        (tmp_path / f".anchor.{writer_id}.part").touch()
    remove_leftovers(tmp_path, "*")
    assert names(tmp_path) == []


def test_a_name_with_signs_of_patterns_is_a_name(tmp_path):
    """Only its own leftovers go."""
    (tmp_path / ".ab.0.part").touch()
    (tmp_path / f".[a]b.{os.getpid()}.part").touch()
    write(tmp_path / "[a]b")
    assert names(tmp_path) == [".ab.0.part", "[a]b"]
