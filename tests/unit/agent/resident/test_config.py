"""What an agent is asked to do, in both forms; mistakes are named, and never guessed around."""

import json
import subprocess
import textwrap

import pytest

from ml_secrets.agent.resident.load import load
from ml_secrets.agent.resident.logins import way_of
from ml_secrets.errors import Denied, Invalid
from ml_secrets.testing.programs import own_command

from .conftest import APPROLE, private, until

OURS = """
poll = "5s"
stale-limit = 60
[server]
address = "https://secrets.example.org"
cacert = "ca.pem"
[login]
method = "userpass"
mount = "people"
username = "ada"
password-file = "password"
[[sink]]
path = "/run/x/token"
wrap-ttl = "5m"
[[template]]
contents = '{{ secret("a/b").c }}'
path = "/run/x/y"
mode = "0440"
on-change = "restart"
[exec]
command = ["a", "b"]
restart = "always"
stop-signal = "INT"
[exec.env]
KEY = '{{ secret("a/b").d }}'
[[listener]]
tcp = "127.0.0.1:8100"
users = ["0", "root"]
[aws]
token-file = "/run/x/aws"
"""


def read(folder, text, name="agent.toml"):
    (folder / name).write_text(textwrap.dedent(text))
    return load(folder / name)


def test_our_own_form_is_read(tmp_path):
    """Every part; paths are those beside the file."""
    config = read(tmp_path, OURS)
    assert (config.poll, config.stale, config.remove_stale, config.once) == (5.0, 60.0, False, False)
    assert config.server.cacert == str(tmp_path / "ca.pem")
    assert config.method.options == {"username": "ada", "password-file": str(tmp_path / "password")}
    assert (config.sinks[0].place.mode, config.sinks[0].wrap_ttl) == (0o400, "5m")
    assert (config.wanted[0].place.mode, config.wanted[0].change.restart) == (0o440, True)
    assert (config.program.command, config.program.restart, config.program.stop_signal) == (
        ("a", "b"),
        "always",
        2,
    )
    assert list(config.program.variables) == ["KEY"]
    assert (config.listeners[0].users, config.listeners[0].header) == ((0, 0), True)
    assert (config.aws.tcp, config.aws.mount) == ("127.0.0.1:2773", "secret")


LISTENER = '[[listener]]\nsocket = "/run/x"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "asked to do nothing"),
        ("pol = 1\n[[listener]]\nsocket = '/x'", "no setting 'pol'"),
        ("poll = 0\n" + LISTENER, "poll is not a duration"),
        ("poll = true\n" + LISTENER, "poll is not a duration"),
        ("[[template]]\npath = '/x'", "one of source and contents"),
        ("[[template]]\ncontents = 'x'", "path is missing"),
        ("[[template]]\ncontents = 'x'\npath = '/x'\nmode = '0644'", "mode is not one for a secret"),
        ("[[template]]\ncontents = 'x'\npath = '/x'\non-change = 'restart'", "nothing to restart"),
        ("[[template]]\ncontents = 'x'\npath = '/x'\non-change = 'NONE'", "nothing to do on a change"),
        ("[[template]]\nsource = 'none.j2'\npath = '/x'", "cannot read"),
        ("[[template]]\ncontents = 'x'\npath = '/x'\n[[template]]\ncontents = 'y'\npath = '/x'", "two files"),
        ("[[template]]\ncontents = '{{ x'\npath = '/x'", "line 1"),
        ("[[template]]\ncontents = 'x'\npath = '/x'\nextra = 1", "template 1.extra"),
        ("[login]\nmethod = 'ldap'\n" + LISTENER, "no login method 'ldap'"),
        ("[login]\nmethod = 'approle'\n" + LISTENER, "one of role-id and role-id-file"),
        ("[login]\nmethod = 'userpass'\n" + LISTENER, "needs username"),
        ("[login]\nmethod = 'userpass'\npassword = 'x'\n" + LISTENER, "no setting 'password'"),
        ("[[listener]]\nproxy = true", "one of socket and tcp"),
        (LISTENER + "users = ['nobody-of-that-name']", "no such user"),
        ("[exec]\ncommand = 'x'", "not a list of texts"),
        ("[exec]\ncommand = ['x']\nrestart = 'maybe'", "one of on-failure"),
        ("listener = 1", "not a list of tables"),
        ("server = 1\n" + LISTENER, "not a table"),
        ("[server]\nverify = 'no'\n" + LISTENER, "true or false"),
        ("x = [", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, complaint):
    """With the file, and without what stands there."""
    with pytest.raises(Invalid, match=complaint):
        way_of(read(tmp_path, text).method)


BASE = 'listener "unix" { address = "/run/x" tls_disable = true }\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('auto_auth { method "gcp" { config = {} } }', "no login method 'gcp'"),
        ('auto_auth { method "approle" { config = { role = "x" } } }', "no setting 'role'"),
        ('auto_auth { method "approle" {} method "approle" {} }', "more than one method"),
        ('auto_auth { sink "file" { config = { path = "/x" } dh_type = "curve25519" } }', "dh_type"),
        ("unknown = 1", "no setting 'unknown'"),
        ('listener "tcp" { address = "127.0.0.1:1" }', "speaks plain HTTP"),
        ('api_proxy { use_auto_auth_token = "force" }', "not true or false"),
        ('template { contents = "{{ key \\"x\\" }}" destination = "/x" }', "key cannot be converted"),
        ('template { contents = "x" destination = "/x" perms = "9" }', "octal"),
        ("vault {} vault {}", "comes 2 times"),
        ("a = [", "not valid HCL"),
    ],
)
def test_what_a_vault_agent_has_and_we_have_not_is_named(tmp_path, text, complaint):
    """Not left out in silence."""
    with pytest.raises(Invalid, match=complaint):
        read(tmp_path, BASE + text + "\n", "agent.hcl")


def test_what_is_left_out_or_narrowed_is_noted(tmp_path):
    """Files for everybody are for their owner and group; what has no meaning here is listed."""
    config = read(
        tmp_path,
        BASE
        + 'log_level = "info"\ntelemetry {}\ntemplate { contents = "x" destination = "/x" perms = "0644" }\n',
        "a.hcl",
    )
    assert config.wanted[0].place.mode == 0o640
    assert any("0644 is taken for 0640" in note for note in config.notes)
    assert any("log_level is left out" in note for note in config.notes)
    assert config.listeners[0].users == ()
    assert config.listeners[0].header


def test_a_file_that_others_could_have_written_is_not_trusted(tmp_path):
    """Nor a link: whoever changes a role id logs the agent in as somebody else."""
    (tmp_path / "role-id").write_text("role")
    (tmp_path / "role-id").chmod(0o666)
    method = read(tmp_path, "[login]\nmethod = 'approle'\nrole-id-file = 'role-id'\n" + LISTENER).method
    with pytest.raises(Denied, match="anybody may have written"):
        way_of(method)(None)
    (tmp_path / "role-id").unlink()
    (tmp_path / "role-id").symlink_to("/etc/hostname")
    with pytest.raises(FileNotFoundError):
        way_of(method)(None)


def test_a_wrapped_secret_id_is_taken_only_from_where_it_was_wrapped(
    agents, root, role, room, door, dev_server
):
    """The wrapping token in the file gives it once; one that was wrapped elsewhere is refused."""
    root.kv.put("agent/db", {"password": "one"})
    body = f'\n[server]\naddress = "{dev_server.url}"\n[[template]]\ncontents = \'{{{{ secret("secret/agent/db#password") }}}}\'\npath = "{room}/out/x"\n'
    config = APPROLE + 'secret-id-wrapped-at = "auth/approle/role/agents/secret-id"\n' + body + door
    wrapped = root.write("auth/approle/role/agents/secret-id", wrap_ttl="60s").wrap_info["token"]
    private(role / "secret-id", wrapped)
    agents(config).stop()
    assert (room / "out" / "x").read_text() == "one"
    other = root.write("sys/wrapping/wrap", {"secret_id": "planted"}, wrap_ttl="60s").wrap_info["token"]
    private(role / "secret-id", other)
    agent = agents(config, wait=False)
    until(lambda: "was not wrapped where it should have been" in agent.log.read_text())


def test_a_configuration_that_anybody_could_have_written_is_not_run(tmp_path):
    """It says what is run."""
    (tmp_path / "agent.toml").write_text(OURS)
    (tmp_path / "agent.toml").chmod(0o646)
    with pytest.raises(Denied, match="anybody may have written"):
        load(tmp_path / "agent.toml")


def cli(*words, **options):
    return subprocess.run(
        [*own_command(), "agent", *words], capture_output=True, text=True, timeout=30, check=False, **options
    )


def test_check_shows_what_would_be_done(tmp_path):
    """Names and paths, in every format; exit code 1 and the mistake where there is one."""
    (tmp_path / "agent.toml").write_text(OURS)
    shown = cli("check", "--config", str(tmp_path / "agent.toml"), "--format", "json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["secrets"] == ["secret://a/b"]
    (tmp_path / "agent.toml").write_text(OURS.replace("poll", "pol"))
    wrong = cli("check", "--config", str(tmp_path / "agent.toml"))
    assert (wrong.returncode, "no setting 'pol'" in wrong.stderr) == (1, True)


def test_convert_prints_the_template(tmp_path):
    """And nothing where a line cannot be converted."""
    (tmp_path / "x.ctmpl").write_text('{{ with secret "secret/data/db" }}P={{ .Data.data.p }}{{ end }}\n')
    done = cli("convert", str(tmp_path / "x.ctmpl"))
    assert done.stdout == '{% with it_1 = secret("secret/db") %}P={{ it_1.p }}{% endwith %}\n'
    (tmp_path / "x.ctmpl").write_text('\n{{ key "x" }}')
    wrong = cli("convert", str(tmp_path / "x.ctmpl"))
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "line 2: key cannot be converted" in wrong.stderr


def test_health_is_an_exit_code(agents, root, role, door, dev_server):
    """0 all is there, 1 nobody answers."""
    agent = agents(f'[server]\naddress = "{dev_server.url}"\n' + APPROLE + door)
    assert cli("health", "--socket", str(agent.socket), "--field", "state").stdout == "fine"
    agent.stop()
    assert cli("health", "--socket", str(agent.socket)).returncode == 1
    assert cli("health").returncode == 1
