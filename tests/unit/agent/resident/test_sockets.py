"""A socket's rights are given to the socket and to nothing else."""

import os
import stat

from ml_secrets.agent.resident import sockets


def test_whoever_gets_the_socket_cannot_have_another_file_s_mode_changed(tmp_path, room, monkeypatch):
    """A link that its new owner puts in its place at once leads to a file whose mode stays."""
    ours = tmp_path / "ours"
    ours.touch(0o600)
    give = os.chown

    def given(name, *arguments, dir_fd, **named):
        give(name, *arguments, dir_fd=dir_fd, **named)
        os.unlink(name, dir_fd=dir_fd)
        os.symlink(ours, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "chown", given)
    sockets.unix(room / "agent.sock", 0o666, (os.geteuid(), os.getegid())).close()
    assert (room / "agent.sock").is_symlink()
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
