"""What the command gets: files in memory, variables by name, standard input; and what it does not get."""

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from tests.unit.agent.run.conftest import KEY, PASSWORD
from tests.unit.agent.run.sitting import eventually

from ml_secrets import Client, MlSecretsError, Unauthenticated

FILE = ("--file", "DB_PASSWORD_FILE=secret://secret/team-a/db#password")


def look(job, *options, script, **settings):
    """What a Python script in the run prints as JSON, in base64: masked it would tell nothing. Reversed, so that no mask finds it."""
    code = f"import json, os, stat, sys\n{script}\nprint(json.dumps(found)[::-1])"
    ran = job.run(*options, "--", sys.executable, "-c", code, **settings)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.decode().strip()[::-1])


def test_a_file_holds_the_value_and_nothing_else(job):
    """Byte for byte, at the path in the variable."""
    found = look(job, *FILE, script="found = open(os.environ['DB_PASSWORD_FILE']).read()")
    assert found == PASSWORD


def test_a_file_is_its_owners_alone_under_any_umask(job, room):
    """Mode 0400 in a folder of mode 0700, both ours, on tmpfs, under umask 0."""
    script = """
path = os.environ["DB_PASSWORD_FILE"]
one, above = os.stat(path), os.stat(os.path.dirname(path))
found = [stat.S_IMODE(one.st_mode), stat.S_IMODE(above.st_mode), one.st_uid, above.st_uid, path]
"""
    held = os.umask(0)
    try:
        *found, path = look(job, *FILE, script=script)
    finally:
        os.umask(held)
    assert found == [0o400, 0o700, os.geteuid(), os.geteuid()]
    assert path.startswith(str(room))


def test_without_a_runtime_folder_it_is_one_in_shared_memory(job):
    """As in a container."""
    found = look(job, *FILE, script="found = os.environ['DB_PASSWORD_FILE']", env={"XDG_RUNTIME_DIR": ""})
    assert found.startswith(f"/dev/shm/ml-secrets-{os.geteuid()}/run-")
    assert not Path(found).parent.exists()


def test_a_whole_secret_is_a_json_object(job):
    """All its fields."""
    found = look(
        job, "--file", "DB_FILE=secret://secret/team-a/db",
        script="found = json.load(open(os.environ['DB_FILE']))",
    )  # fmt: skip
    assert found == {"user": "ada", "password": PASSWORD}


def test_a_variable_holds_a_value_only_when_asked_by_name(job):
    """`--env` gives it; `--file` puts nothing but the path there."""
    script = (
        "found = sorted(name for name, text in os.environ.items() if sys.argv[1:] == [] and text == "
        + repr(PASSWORD)
        + ")"
    )
    assert look(job, *FILE, script=script) == []
    assert look(job, "--env", "DB=secret://secret/team-a/db#password", script=script) == ["DB"]


def test_standard_input_holds_the_value_and_ends(job):
    """And nothing of ours."""
    found = look(job, "--stdin", "secret://secret/team-a/api#key", script="found = sys.stdin.read()")
    assert found == KEY


def test_standard_input_is_ours_otherwise(job):
    """To its end."""
    assert job.run("--", "wc", "-c", input=b"x" * 300_000).stdout.strip() == b"300000"


def test_a_file_without_a_place_is_read_by_its_descriptor(job):
    """As often as one likes, by the command and by what it starts; it cannot be changed, and there is no folder."""
    script = """
path = os.environ["DB_PASSWORD_FILE"]
import subprocess
found = [open(path).read(), subprocess.run(["cat", path], stdout=-1, close_fds=False).stdout.decode()]
try:
    os.write(os.open(path, os.O_RDWR), b"x")
    found.append("written")
except OSError:
    found.append(path)
"""
    *values, path = look(job, *FILE, "--memfd", script=script)
    assert values == [PASSWORD, PASSWORD]
    assert path.startswith("/proc/self/fd/")


def test_our_token_stays_ours(job, told):
    """No variable with it reaches the command; `--own-token` leaves them."""
    ours = dict.fromkeys(("ML_SECRETS_TOKEN", "VAULT_TOKEN", "BAO_TOKEN"), told.token)
    script = "found = sorted(name for name in os.environ if name.endswith('_TOKEN'))"
    assert look(job, *FILE, script=script, env=ours) == []
    assert look(job, *FILE, "--own-token", script=script, env=ours) == sorted(ours)


def test_a_token_of_its_own_works_for_the_command_and_ends_with_it(job, told):
    """A child of ours, in a file that the SDK finds; afterwards nobody knows it."""
    script = """
from ml_secrets import get_secret
token = open(os.environ["ML_SECRETS_TOKEN_FILE"]).read()
found = [get_secret("team-a/api", field="key").reveal(), token, stat.S_IMODE(os.stat(os.environ["ML_SECRETS_TOKEN_FILE"]).st_mode)]
"""
    value, token, mode = look(job, "--job-token", script=script)
    assert (value, mode) == (KEY, 0o400)
    assert token != told.token
    with Client(told.url, token) as client, pytest.raises(Unauthenticated):
        client.read("auth/token/lookup-self")


def test_a_token_that_may_make_none_starts_nothing(job, told, tmp_path):
    """Who asked for a token of the job's own does not get ours instead."""
    with Client(told.url, told.token) as client:
        client.write(
            "sys/policies/acl/reads-only",
            {"policy": 'path "secret/data/team-a/*" { capabilities = ["read"] }'},
        )
        token = client.write(
            "auth/token/create", {"policies": ["reads-only"], "no_default_policy": True}
        ).auth["client_token"]
    ran = job.run("--job-token", "--", "touch", str(tmp_path / "ran"), env={"ML_SECRETS_TOKEN": token})
    assert ran.returncode == 2
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def role(told, tmp_path):
    """The options of a login by AppRole whose token lives for so long; and the accessors of tokens now."""
    with Client(told.url, told.token) as client:
        with contextlib.suppress(MlSecretsError):
            client.write("sys/auth/approle", {"type": "approle"})
        policy = """path "secret/data/team-a/*" { capabilities = ["read"] }
                    path "auth/token/create" { capabilities = ["update"] }"""
        client.write("sys/policies/acl/team-a", {"policy": policy})

        def options(**settings):
            client.write("auth/approle/role/job", {"token_policies": ["team-a"], **settings})
            role = client.read("auth/approle/role/job/role-id").data["role_id"]
            file = tmp_path / "secret-id"
            file.write_text(client.write("auth/approle/role/job/secret-id").data["secret_id"])
            return ("--role-id", role, "--secret-id-file", str(file))

        yield options, lambda: set(client.list("auth/token/accessors").data["keys"])


@pytest.mark.parametrize(
    "more", [FILE, ("--job-token",), (*FILE, "--job-token")], ids=["file", "token", "both"]
)
def test_a_login_of_the_run_ends_with_it(job, role, more):
    """By AppRole it makes a token, which is revoked, whatever it was made for."""
    options, accessors = role
    login = options(secret_id_num_uses=1)
    before = accessors()
    ran = job.run(*more, *login, "--", "true", env={"ML_SECRETS_TOKEN": ""})
    assert ran.returncode == 0, ran.stderr
    assert accessors() <= before


def test_so_does_every_later_one(job, role):
    """A token that cannot be renewed any more is followed by another; both are gone at the end."""
    options, accessors = role
    login = options(secret_id_num_uses=0, token_ttl="2s", token_max_ttl="2s")
    before = accessors()
    run = job.start(*FILE, *login, "--", "sh", "-c", "echo; exec sleep 1000", env={"ML_SECRETS_TOKEN": ""})
    run.stdout.readline()
    first = accessors() - before
    eventually(lambda: accessors() - before - first)
    run.terminate()
    run.communicate()
    assert accessors() <= before | first  # the first one ends by itself


def test_what_no_variable_can_hold_starts_nothing(job, told, tmp_path):
    """A NUL in the value: it is said without the value."""
    with Client(told.url, told.token) as client:
        client.kv.put("team-a/odd", {"value": "fake\0odd"})
    ran = job.run("--env", "ODD=secret://secret/team-a/odd#value", "--", "touch", str(tmp_path / "ran"))
    assert ran.returncode != 0
    assert b"as a file: --file" in ran.stderr
    assert b"odd\n" not in ran.stderr
    assert not (tmp_path / "ran").exists()
