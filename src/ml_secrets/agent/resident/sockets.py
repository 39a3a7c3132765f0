"""The sockets of an agent: on loopback, or in a folder that only we can change."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import socket
import stat
from typing import TYPE_CHECKING

from ml_secrets.agent.descriptors import folder_descriptor
from ml_secrets.errors import Conflict, Denied, Invalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def loopback(address: str) -> socket.socket:
    """A socket that listens on "127.0.0.1:8100". Raises `Invalid` for any address that other machines reach."""
    host, _, port = address.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    try:
        fits = ipaddress.ip_address(host).is_loopback and re.fullmatch(r"[0-9]{1,5}", port, re.ASCII)
    except ValueError:
        fits = False
    if not fits or not 0 < int(port) < 65536:
        raise Invalid(
            f"an agent listens on this machine only, not on {address!r}", hint="write 127.0.0.1:8100"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=128)


def unix(path: Path, mode: int, owner: tuple[int, int] | None) -> socket.socket:
    """A socket that listens at `path`. Raises where others can change the folder."""
    line = socket.socket(socket.AF_UNIX)
    try:
        moved_in(path, lambda at: _listen(line, at), mode, owner)
    except BaseException:
        line.close()
        raise
    return line


def moved_in(path: Path, bind: Callable[[str], object], mode: int, owner: tuple[int, int] | None) -> None:
    """Have a socket bound beside `path`, by whoever can, give it its rights, and move it there. Raises where others can change the folder."""
    folder = folder_descriptor(path.absolute().parent, create=True)
    part = f".ml-secrets.{secrets.token_hex(8)}"
    try:
        _check(folder, path)
        _bind(bind, folder, part, mode, owner)
        os.rename(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def remove(path: Path, inode: int) -> None:
    """Remove a socket that we made, unless somebody else's lies there by now."""
    folder = folder_descriptor(path.absolute().parent, create=False)
    try:
        if os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_ino == inode:
            os.unlink(path.name, dir_fd=folder)
    finally:
        os.close(folder)


def _listen(line: socket.socket, at: str) -> None:
    line.bind(at)
    line.listen(128)


def _bind(
    bind: Callable[[str], object], folder: int, name: str, mode: int, owner: tuple[int, int] | None
) -> None:
    before = os.umask(0o177)  # nobody else from the first moment on
    try:
        bind(f"/proc/self/fd/{folder}/{name}")  # by the folder itself, and short enough for any depth
    finally:
        os.umask(before)
    os.chmod(name, mode, dir_fd=folder)  # while it is ours: nobody can have put a link in its place
    if owner is not None:
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)


def _check(folder: int, path: Path) -> None:
    held = os.fstat(folder)
    if held.st_uid not in {os.geteuid(), 0} or (held.st_mode & 0o022 and not held.st_mode & stat.S_ISVTX):
        raise Denied(
            f"others can change {path.parent}, and put another socket there",
            hint="name a folder of your own; one that is missing is made",
        )
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise Conflict(f"{path} is there, and is no socket", hint="choose another name")
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError):
            probe.settimeout(2)
            probe.connect(f"/proc/self/fd/{folder}/{path.name}")
            raise Conflict(f"somebody listens at {path} already", hint="does another agent run?")
