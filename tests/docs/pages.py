"""A page of documentation as a program: its `sh` and `python` blocks in order, in one shell, on a server of its own.

A block that begins with `# name.py` is a file that the reader saves. `console` and `text` blocks are for reading only.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ml_secrets.testing import programs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.py)\n")
_ENDING = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"


def blocks(page, *kinds):
    """(kind, text) of each fenced block."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(kind, text) for _, kind, text in found if not kinds or kind in kinds]


def unsaid(page, told):
    """The lines of the page's `text` blocks, its output, that did not come; `…` stands for anything."""
    lines = [line for _, text in blocks(page, "text") for line in text.splitlines()]
    shapes = [".*".join(map(re.escape, line.split("…"))) for line in lines]
    return [
        line
        for line, shape in zip(lines, shapes, strict=True)
        if not re.search(f"^{shape} *$", told, re.MULTILINE)
    ]


def script(page, *, last=0):
    """The page's blocks as one shell script. So many blocks at its head, which show what the rest explains, come last."""
    parts = ["set -euo pipefail", _ENDING]
    found = blocks(page, "sh", "python")
    for number, (kind, text) in enumerate(found[last:] + found[:last]):
        mark = f"PYTHON_BLOCK_{number}"
        if kind == "sh":
            parts.append(text)
        elif found := _FILE.match(text):
            parts.append(f"cat > {found[1]} <<'{mark}'\n{text}{mark}\n")
        else:
            parts.append(f"python - <<'{mark}'\n{text}{mark}\n")
    return "\n".join(parts)


@contextlib.contextmanager
def local_server(folder):
    """A user's own server, as `ml-secrets server` starts it; gives its address and that user's environment."""
    home = folder / "home"
    home.mkdir()
    port = programs.free_port()
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_DATA_HOME": "",
        "XDG_CONFIG_HOME": "",
    }
    command = [*programs.own_command(), "server", "--listen", f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    with programs.running(command, url=url, token="", log=folder / "server.log", environment=environment):
        yield url, {**os.environ, **environment}


def play(page, folder, *, changes=(), last=0):
    """Run a page in `folder`; gives the finished process. `changes` are (old, new) texts, beside the server's address."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    with local_server(folder) as (url, environment):
        text = script(page, last=last)
        for old, new in (*changes, ("http://127.0.0.1:8200", url)):
            text = text.replace(old, new)
        log = folder / "page.log"
        with log.open("wb") as output:
            done = subprocess.run(
                ["bash", "-c", text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
        return done.returncode, log.read_text(errors="replace")
