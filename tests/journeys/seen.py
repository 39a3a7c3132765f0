"""Who holds a value, seen from outside: by /proc, and by looking through folders."""

from pathlib import Path


def processes_with(*values):
    """`(process, its name, "environ" or "cmdline")` of each process of this machine that shows one of them there."""
    wanted = [value.encode() for value in values]
    found = set()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            for name in ("environ", "cmdline"):
                try:
                    content, comm = (process / name).read_bytes(), (process / "comm").read_text().strip()
                except OSError:  # it has ended
                    continue
                if any(value in content for value in wanted):
                    found.add((int(process.name), comm, name))
    return found


def files_with(folder, *values):
    """The files at or below a folder that hold one of them."""
    wanted = [value.encode() for value in values]
    found = []
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:  # it has gone
            continue
        if any(value in content for value in wanted):
            found.append(path)
    return found
