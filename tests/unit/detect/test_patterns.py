"""Unknown secrets, by their shape."""

import base64
import random
import shutil
import string
import subprocess
import sys

import pytest

from ml_secrets.detect.patterns import Patterns
from ml_secrets.errors import Unsupported

pytest.importorskip("kingfisher_sdk", reason="the extra `detect` is not installed")

LETTERS = string.ascii_letters + string.digits


def made_up(length, alphabet=LETTERS):
    return "".join(random.Random(length).choices(alphabet, k=length))


SECRETS = {
    "our own token": f"mls_s_{made_up(34)}",
    "Vault's token": f"hvs.{made_up(24)}",
    "Hugging Face": f"hf_{made_up(34, string.ascii_letters)}",
    "OpenAI": f"sk-proj-{made_up(74)}T3BlbkFJ{made_up(74)}",
    "Anthropic": f"sk-ant-api03-{made_up(93)}AA",
    "GitHub": f"ghp_{made_up(36)}",
    "Databricks": f"dapi{made_up(32, '0123456789abcdef')}",
    "Replicate": f"r8_{made_up(37)}",
    "a private key": f"-----BEGIN RSA PRIVATE KEY-----\n{made_up(64)}\n{made_up(64)}\n-----END RSA PRIVATE KEY-----",
}


@pytest.fixture(scope="module")
def patterns():
    """One set of rules for all tests; kept nowhere."""
    return Patterns(keep=False)


@pytest.mark.parametrize("name", SECRETS)
def test_a_provider_s_secret_is_found(patterns, name):
    """Each is found as certain, and its place is exactly its own, also after text that is no ASCII."""
    secret = SECRETS[name].encode()
    data = "Zürich: ".encode() + secret + b"\n"
    found = [each for each in patterns.find(data) if each.certain]
    assert {data[each.start : each.end] for each in found} == {secret}


def test_it_is_found_in_base64(patterns):
    """A token in base64 is found as the whole of that base64."""
    hidden = base64.b64encode(SECRETS["GitHub"].encode())
    found = patterns.find(b"auth: " + hidden + b"\n")
    assert [(each.start, each.end) for each in found] == [(6, 6 + len(hidden))]


def test_a_key_without_its_id_is_told_as_a_part(patterns):
    """AWS's secret key alone is a part; its id is not there."""
    (found,) = patterns.find(f"aws_secret_access_key = {made_up(40)}\n".encode())
    assert found.part


def test_ordinary_output_is_left_alone(patterns):
    """Losses, commits, digests and run ids of a training job are no secrets."""
    commit, digest = made_up(40, "0123456789abcdef"), made_up(64, "0123456789abcdef")
    text = f"epoch 3 loss 0.1234 commit {commit} sha256:{digest} run 123e4567-e89b-12d3-a456-426614174000\n"
    assert patterns.find(text.encode()) == []


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"])
def test_places_are_those_of_the_bytes_given(patterns, mark):
    """Bytes that begin as UTF-16 or UTF-32 would are not decoded, so places fit."""
    secret = SECRETS["GitHub"].encode()
    data = mark + b" " + secret + b"\n"
    assert [data[each.start : each.end] for each in patterns.find(data)] == [secret]


def test_no_text_of_a_secret_is_told(patterns):
    """Neither a finding nor the rules print what was found."""
    found = patterns.find(SECRETS["GitHub"].encode())
    assert SECRETS["GitHub"] not in repr(found)
    assert SECRETS["GitHub"] not in repr(patterns)


LOOK = "import sys; from ml_secrets.detect.patterns import Patterns; print(len(Patterns(keep=False).find(sys.stdin.buffer.read())))"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_it_opens_no_connection(tmp_path):
    """Under strace, a process that finds a token of a provider makes no socket at all."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=socket,connect", "-o", trace, sys.executable, "-c", LOOK]
    ran = subprocess.run(command, input=SECRETS["GitHub"].encode(), capture_output=True, check=True)
    assert ran.stdout.strip() == b"1"
    assert "socket(" not in trace.read_text()


def test_without_the_library_it_says_what_to_install(monkeypatch):
    """The refusal names the extra."""
    monkeypatch.setitem(sys.modules, "kingfisher_sdk", None)
    with pytest.raises(Unsupported) as refused:
        Patterns()
    assert "ml-secrets[detect]" in refused.value.hint
