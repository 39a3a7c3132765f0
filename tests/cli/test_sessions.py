"""Plays the session files in this folder, against both servers. NAME.openbao.txt and NAME.ours.txt are for one of them."""

from pathlib import Path

import pytest
from session import play

SESSIONS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SESSIONS, ids=[path.stem for path in SESSIONS])
def test_session_prints_what_it_says(path, logged_in, tmp_path, request):
    """Every command of a session prints what stands there, and ends with the exit code that stands there."""
    server = request.node.callspec.params["logged_in"]
    if path.stem.endswith(".ours" if server == "openbao" else ".openbao"):
        pytest.skip("a session for the other server")
    files = path.with_suffix("")
    if files.is_dir():
        for file in files.iterdir():
            (tmp_path / "work" / file.name).write_bytes(file.read_bytes())
    play(path)
