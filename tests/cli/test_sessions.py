"""Plays the session files in this folder."""

from pathlib import Path

import pytest
from session import play

SESSIONS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SESSIONS, ids=[path.stem for path in SESSIONS])
def test_session_prints_what_it_says(path, logged_in, tmp_path):
    """Every command of a session prints what stands there, and ends with the exit code that stands there."""
    files = path.with_suffix("")
    if files.is_dir():
        for file in files.iterdir():
            (tmp_path / "work" / file.name).write_bytes(file.read_bytes())
    play(path)
