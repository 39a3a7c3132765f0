"""boto3, s3fs and the AWS CLI sign with what is stored now: against moto, which refuses keys that are no more."""

import json
import logging
import os
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_secrets import Secret, Sensitive, Unsupported, live
from ml_secrets.integrations import aws as our_aws
from ml_secrets.integrations import fsspec as our_fsspec
from ml_secrets.integrations.source import library

pytestmark = pytest.mark.hosts
REGION = {"region_name": "us-east-1"}


@pytest.fixture
def boto3():
    return pytest.importorskip("boto3", reason="boto3 is not installed")


def rotated(writer, aws, eventually):
    """The second key is stored, and the first one is no more."""
    writer.kv.put("aws/train", aws.second)
    aws.drop()
    assert eventually(lambda: live("aws/train")["access_key"].reveal() == aws.second["access_key"])


def test_a_client_that_exists_goes_on_over_a_rotation(here, writer, aws, boto3, eventually):
    """Each request is signed with the keys of now; a key that is no more is refused."""
    writer.kv.put("aws/train", aws.first)
    sts = our_aws.session("aws/train", **REGION).client("sts", endpoint_url=aws.url)
    assert sts.get_caller_identity()["Arn"].endswith(":user/train")
    rotated(writer, aws, eventually)
    assert sts.get_caller_identity()["Arn"].endswith(":user/train")
    stale = boto3.client(
        "sts",
        "us-east-1",
        endpoint_url=aws.url,
        aws_access_key_id=aws.first["access_key"],
        aws_secret_access_key=aws.first["secret_key"],
    )
    with pytest.raises(stale.exceptions.ClientError, match="InvalidClientTokenId"):
        stale.get_caller_identity()


def test_temporary_credentials_have_their_token(here, writer, boto3):
    """By every name that the parts go by; and nothing of them shows."""
    fields = {"access_key_id": "AKIAFAKE", "secret_access_key": "FAKE-key", "security_token": "FAKE-token"}
    writer.kv.put("aws/temporary", fields)
    held = our_aws.credentials("aws/temporary")
    assert held.get_frozen_credentials()[:3] == ("AKIAFAKE", "FAKE-key", "FAKE-token")
    assert (held.access_key, held.secret_key, held.token) == ("AKIAFAKE", "FAKE-key", "FAKE-token")
    assert "FAKE" not in repr(held)


def test_an_answer_ends_with_the_lease_or_after_a_while():
    """Whichever comes first: SDKs ask again ahead of that."""
    fields = {"access_key": Sensitive("a"), "secret_key": Sensitive("s")}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for hours, end in ((None, "T02:00:00Z"), (1, "T01:00:00Z"), (5, "T02:00:00Z")):
        ends_at = None if hours is None else now + timedelta(hours=hours)
        secret = Secret("a", Sensitive("{}"), fields, mount="m", ends_at=ends_at)
        answer = our_aws.process_answer(secret, now=now, again_after=timedelta(hours=2))
        assert answer["Expiration"] == f"2026-01-01{end}"


@pytest.mark.parametrize("who", ["boto3", "aws"])
def test_the_sdk_runs_the_process(here, writer, aws, boto3, who, tmp_path, monkeypatch):
    """`credential_process` in the configuration of the SDK and of the AWS CLI."""
    writer.kv.put("aws/train", aws.first)
    config = tmp_path / "aws-config"
    program = f"{sys.executable} -m ml_secrets.cli credential aws aws/train"
    config.write_text(f"[profile train]\nregion = us-east-1\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "train")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    if who == "boto3":
        told = boto3.Session().client("sts").get_caller_identity()
    else:
        cli = Path(sys.executable).with_name("aws")
        if not cli.exists():
            pytest.skip("the AWS CLI is not installed")
        command = [sys.executable, str(cli), "sts", "get-caller-identity", "--no-cli-pager"]
        done = subprocess.run(command[:-1], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
    assert told["Arn"].endswith(":user/train")


def test_s3fs_goes_on_over_a_rotation(here, writer, aws, boto3, eventually, caplog):
    """By storage options that hold no value, also in another process; two equal ones are one file system."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed", minversion="2024")
    writer.kv.put("aws/train", aws.first)
    options = our_fsspec.s3_options(
        "aws/train", client_kwargs={"region_name": "eu-west-1", "endpoint_url": aws.url}
    )
    assert aws.first["secret_key"] not in repr(options)
    with caplog.at_level(logging.DEBUG, "s3fs"):
        files = s3fs.S3FileSystem(**options)
        files.mkdir("data")
        files.pipe("data/x", b"content")
        rotated(writer, aws, eventually)
        files.invalidate_cache()
        assert files.cat("data/x") == b"content"
    again = our_fsspec.s3_options(
        "aws/train", client_kwargs={"region_name": "eu-west-1", "endpoint_url": aws.url}
    )
    assert s3fs.S3FileSystem(**again) is files
    content = pickle.dumps(files)
    assert aws.second["secret_key"].encode() not in content
    code = f"import pickle, sys\nprint(pickle.loads({content!r}).cat('data/x'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "b'content'\n", done.stderr


def test_a_library_that_is_missing_is_named():
    """With what to install."""
    with pytest.raises(Unsupported, match=r"this needs no_such_library .pip install no_such"):
        library("no_such_library.part", "no_such")
