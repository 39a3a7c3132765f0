"""Faults that only the operating system has, brought about by a small library that the server is started with (faults.c)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("faults.c")


class Shim:
    """Its environment goes to the server under test; what is set here happens there at once."""

    def __init__(self, folder):
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip(
                "no C compiler here: install gcc to have fsync fail and the wall clock jump under a server"
            )
        self.faults = folder / "faults"
        self.faults.mkdir(parents=True)
        library = folder / "faults.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "FAULTS": str(self.faults)}

    def tell(self, name, text):
        """Whole at once: the server may look at any moment."""
        part = self.faults / f".{name}"
        part.write_text(text)
        part.rename(self.faults / name)

    def sync_fails(self, part_of_path):
        self.tell("sync", part_of_path)

    def sync_works(self):
        (self.faults / "sync").unlink()

    def clock_is_ahead(self, seconds):
        self.tell("clock", str(seconds))
