"""Hugging Face's library reads its token from a file of ours: current, in memory, for us alone, and gone with the process."""

import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ml_secrets import live
from ml_secrets.integrations import huggingface

PROGRAM = """
import os, sys, time
from ml_secrets.integrations.huggingface import token_file
path = token_file("hf/train")
print(path, flush=True)
if sys.argv[1] == "fork":
    pid = os.fork()
    if not pid:
        sys.exit(0)
    os.waitpid(pid, 0)
    assert path.exists()
for line in sys.stdin:
    print(path.read_text(), flush=True)
"""


@pytest.fixture
def runtime(monkeypatch):
    """A runtime folder in memory, as a session has one."""
    place = Path(tempfile.mkdtemp(prefix="ml-secrets-test-", dir="/dev/shm"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setenv("HF_TOKEN_PATH", "")
    yield place
    shutil.rmtree(place)


def started(*words):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def asked(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("way", ["plain", "fork"])
def test_the_file_is_current_and_goes_with_the_process(here, writer, runtime, eventually, way):
    """Mode 0400 under any umask; a forked child that ends takes nothing along."""
    writer.kv.put("hf/train", {"value": "hf_FAKEone"})
    with started(way) as process:
        path = Path(process.stdout.readline().strip())
        assert path.is_relative_to(runtime)
        assert asked(process) == "hf_FAKEone"
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        writer.kv.put("hf/train", {"value": "hf_FAKEtwo"})
        assert eventually(lambda: asked(process) == "hf_FAKEtwo")
        process.stdin.close()
        assert process.wait(10) == 0
    assert not path.parent.exists()


def test_what_a_killed_process_left_goes_when_the_next_one_comes(here, writer, runtime):
    """And what belongs to one that runs stays."""
    writer.kv.put("hf/train", {"value": "hf_FAKEone"})
    with started("plain") as killed, started("plain") as running:
        left, stays = (Path(process.stdout.readline().strip()) for process in (killed, running))
        killed.kill()
        killed.wait(10)
        assert left.exists()
        with started("plain") as last:
            last.stdout.readline()
            assert not left.exists()
            assert stays.exists()


def test_what_is_of_another_container_stays(here, writer, runtime):
    """Where containers share the folder, a number that no process has here may be one's there."""
    writer.kv.put("hf/train", {"value": "hf_FAKEone"})
    with started("plain") as first:
        ours = Path(first.stdout.readline().strip()).parent
        first.stdin.close()
    _, _, namespace, _, began = ours.name.split("-")
    gone, foreign = (ours.with_name(f"hugging-face-{n}-4194304-{began}") for n in (namespace, "1"))
    for folder in (gone, foreign):
        folder.mkdir(mode=0o700)
        (folder / "token").write_text("hf_FAKEleft")
    with started("plain") as last:
        last.stdout.readline()
        assert (gone.exists(), foreign.exists()) == (False, True)
        last.stdin.close()


@pytest.mark.hosts
def test_the_library_takes_it_up(here, writer, runtime, eventually, monkeypatch):
    """Loaded before or after, and over a rotation."""
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    writer.kv.put("hf/train", {"value": "hf_FAKEone"})
    huggingface.token_file("hf/train")
    assert hub.get_token() == "hf_FAKEone"
    writer.kv.put("hf/train", {"value": "hf_FAKEtwo"})
    assert eventually(lambda: hub.get_token() == "hf_FAKEtwo")
    writer.kv.delete("hf/train")
    assert eventually(lambda: hub.get_token() is None)
    assert live("hf/train").name
    code = "import huggingface_hub; print(huggingface_hub.get_token())"
    writer.kv.put("hf/train", {"value": "hf_FAKEthree"})
    assert eventually(lambda: hub.get_token() == "hf_FAKEthree")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "hf_FAKEthree\n"
