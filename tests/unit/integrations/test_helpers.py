"""Docker, git, kubectl and keyring ask our helpers, under the names and in the ways that they have."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ml_secrets import Invalid, Sensitive
from ml_secrets.integrations import git as our_git
from ml_secrets.integrations import kubectl as our_kubectl
from ml_secrets.integrations import stored

PROGRAM = Path(sys.executable).with_name("ml-secrets")


def run(*command, stdin="", **settings):
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ.copy(),
        **settings,
    )


@pytest.fixture
def linked(here, tmp_path, monkeypatch):
    """The links that tools call a helper by, on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = f"#!{sys.executable}\nimport sys\nfrom ml_secrets.cli.main import main\nsys.exit(main())\n"
    (folder / "ml-secrets").write_text(program)
    (folder / "ml-secrets").chmod(0o755)
    for tool in ("docker", "git"):
        (folder / f"{tool}-credential-ml-secrets").symlink_to(folder / "ml-secrets")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


# ── git ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def filled(asked, *settings):
    """What git has after asking its helpers."""
    words = ["-c", "credential.helper=", *(word for setting in settings for word in ("-c", setting))]
    done = run("git", *words, "credential", "fill", stdin=asked)
    return dict(line.split("=", 1) for line in done.stdout.splitlines()), done


@pytest.mark.parametrize("helper", ["ml-secrets", "!ml-secrets credential git"])
def test_git_is_given_a_password(linked, writer, monkeypatch, helper):
    """By the helper's name, or by a command of its configuration; for a path of its own where git sends paths."""
    needs("git")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    writer.kv.put("credentials/git/git.example", {"username": "ada", "password": "FAKE-git"})
    writer.kv.put("credentials/git/git.example/team/model", {"username": "robot", "password": "FAKE-model"})
    asked = "url=https://git.example/team/model\n\n"
    told, _ = filled(asked, f"credential.helper={helper}")
    assert (told["username"], told["password"]) == ("ada", "FAKE-git")
    told, _ = filled(asked, f"credential.helper={helper}", "credential.useHttpPath=true")
    assert (told["username"], told["password"]) == ("robot", "FAKE-model")
    told, done = filled("url=http://git.example/x\n\n", f"credential.helper={helper}")
    assert "password" not in told
    assert "FAKE" not in done.stderr


def test_a_clone_over_http_logs_in(linked, writer, tmp_path, monkeypatch):
    """A real git fetches from a server of this machine that asks for a password."""
    needs("git")
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    bare = tmp_path / "model.git"
    for command in (
        ["git", "init", "--bare", str(bare)],
        ["git", "-C", str(bare), "update-server-info"],
    ):
        assert run(*command).returncode == 0
    wanted = "Basic " + base64.b64encode(b"ada:FAKE-git").decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers.get("Authorization") == wanted
            file = bare / self.path.partition("?")[0].removeprefix("/model.git/")
            self.send_response(401 if not known else 200 if file.is_file() else 404)
            self.send_header("WWW-Authenticate", 'Basic realm="models"')
            self.end_headers()
            if known and file.is_file():
                self.wfile.write(file.read_bytes())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/model.git"
    writer.kv.put(
        f"credentials/git/127.0.0.1:{server.server_port}", {"username": "ada", "password": "FAKE-git"}
    )
    refused = run("git", "-c", "credential.helper=", "ls-remote", url)
    assert refused.returncode != 0
    done = run("git", "-c", "credential.helper=", "-c", "credential.helper=ml-secrets", "ls-remote", url)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr


def test_only_a_line_break_ends_an_attribute():
    """A password may have whatever else is called one; and what comes after an empty line is no attribute."""
    asked = Sensitive("username=ada\npassword=FAKE\u2028a\x0bb=c\x85\n\nhost=x\n")
    told = our_git.attributes(asked)
    assert {name: value.reveal() for name, value in told.items()} == {
        "username": "ada",
        "password": "FAKE\u2028a\x0bb=c\x85",
    }


# ── docker ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Registry(BaseHTTPRequestHandler):
    """As much of a registry as a login needs."""

    def do_GET(self):
        wanted = "Basic " + base64.b64encode(b"ada:FAKE-registry").decode()
        status = 200 if self.headers.get("Authorization") == wanted else 401
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def test_docker_stores_and_asks(linked, writer, tmp_path):
    """`get`, `store`, `list` and `erase` under the helper's name, as its programs call them."""
    given = {"ServerURL": "https://registry.example", "Username": "ada", "Secret": "FAKE-registry"}
    helper = str(linked / "docker-credential-ml-secrets")
    stored_ = run(helper, "store", stdin=json.dumps(given))
    assert (stored_.returncode, stored_.stdout, stored_.stderr) == (0, "", "")
    assert json.loads(run(helper, "get", stdin="https://registry.example\n").stdout) == given
    assert "https://registry.example" in json.loads(run(helper, "list").stdout)
    assert run(helper, "erase", stdin="https://registry.example").returncode == 0
    missing = run(helper, "get", stdin="https://registry.example")
    assert (missing.returncode, missing.stdout) == (1, "credentials not found in native keychain\n")
    assert missing.stderr == ""


@pytest.mark.hosts
def test_a_real_docker_asks_the_helper(linked, writer, tmp_path, monkeypatch):
    """`docker logout` has it erase, by the configuration's `credsStore`."""
    needs("docker")
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text('{"credsStore": "ml-secrets"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    writer.kv.put("credentials/docker/registry.example", {"username": "ada", "password": "FAKE-registry"})
    done = run("docker", "logout", "registry.example")
    assert done.returncode == 0, done.stdout + done.stderr
    missing = run(str(linked / "docker-credential-ml-secrets"), "get", stdin="registry.example")
    assert missing.stdout == "credentials not found in native keychain\n"


# ── kubectl ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.hosts
def test_a_real_kubectl_sends_the_token(linked, writer, safe_web, tmp_path):
    """By an exec plug-in of its kubeconfig, in both versions of the protocol."""
    needs("kubectl")
    writer.kv.put("clusters/train", {"token": "FAKE-cluster"})
    safe_web.answer = lambda _: (200, {"kind": "NamespaceList", "apiVersion": "v1", "items": []})
    for version in ("v1", "v1beta1"):
        exec_ = {
            "apiVersion": f"client.authentication.k8s.io/{version}",
            "command": "ml-secrets",
            "args": ["credential", "kubectl", "clusters/train"],
            "interactiveMode": "Never",
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": safe_web.url, "certificate-authority": str(safe_web.authority)},
                }
            ],
            "users": [{"name": "u", "user": {"exec": exec_}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        done = run(
            "kubectl", "--kubeconfig", str(tmp_path / "kubeconfig"), "get", "--raw", "/api/v1/namespaces"
        )
        assert done.returncode == 0, done.stderr
    assert {asked.get("authorization") for asked in safe_web.asked} == {"Bearer FAKE-cluster"}


def test_a_certificate_serves_too(here, writer):
    """With its key, by the names that engines give them; in the version that is asked for, and no other."""
    from ml_secrets import get_secret

    writer.kv.put("clusters/cert", {"certificate": "FAKE-cert", "private_key": "FAKE-key"})
    info = json.dumps({"apiVersion": "client.authentication.k8s.io/v1beta1", "spec": {}})
    told = our_kubectl.answer(get_secret("clusters/cert"), info, again_at=None)
    assert told["status"] == {"clientCertificateData": "FAKE-cert", "clientKeyData": "FAKE-key"}
    assert told["apiVersion"].endswith("/v1beta1")
    for odd in ('{"apiVersion": "client.authentication.k8s.io/v9"}', "no json", "[]"):
        with pytest.raises(Invalid, match="version that is not known"):
            our_kubectl.version(odd)


# ── keyring ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def keyring(here, monkeypatch):
    found = pytest.importorskip("keyring", reason="keyring is not installed")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "ml_secrets.integrations.keyring.Keyring")
    found.core.init_backend()
    return found


@pytest.mark.hosts
def test_keyring_has_what_is_stored(keyring, writer):
    """Set, asked for by a path or by its host alone, for one user or any, and deleted."""
    keyring.set_password("https://index.example/simple/", "ada", "FAKE-index")
    writer.kv.put("credentials/keyring/other.example", {"username": "robot", "password": "FAKE-other"})
    assert keyring.get_password("https://index.example/simple/", "ada") == "FAKE-index"
    assert keyring.get_password("https://index.example/simple/", "eve") is None
    found = keyring.get_credential("https://other.example/simple/deep", None)
    assert (found.username, found.password) == ("robot", "FAKE-other")
    assert keyring.get_credential("nowhere.example", None) is None
    with pytest.raises(keyring.errors.PasswordDeleteError, match="no such"):
        keyring.delete_password("https://index.example/simple/", "eve")
    keyring.delete_password("https://index.example/simple/", "ada")
    assert keyring.get_password("https://index.example/simple/", "ada") is None


@pytest.mark.hosts
def test_keyring_says_that_the_server_is_away(keyring, monkeypatch):
    """It is no index without a password."""
    monkeypatch.setenv("ML_SECRETS_ADDR", "http://127.0.0.1:9")
    with pytest.raises(keyring.errors.KeyringError, match=r"cannot be reached|no server|refused"):
        keyring.get_password("https://index.example/simple/", "ada")


@pytest.mark.hosts
@pytest.mark.parametrize("way", ["import", "subprocess"])
def test_pip_logs_in_to_an_index(keyring, linked, writer, web, tmp_path, way):
    """A 401 of the index has pip ask keyring, in its process or by its program."""
    wanted = "Basic " + base64.b64encode(b"ada:FAKE-index").decode()
    web.answer = lambda headers: (404 if headers.get("authorization") == wanted else 401, {})
    host = web.url.removeprefix("http://")
    writer.kv.put(f"credentials/keyring/{host}", {"username": "ada", "password": "FAKE-index"})
    index = f"http://ada@{host}/simple"
    program = linked / "keyring"  # pip looks for one that is installed apart from its own environment
    program.write_text(f"#!{sys.executable}\nimport keyring.cli\nkeyring.cli.main()\n")
    program.chmod(0o755)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(tmp_path), "--retries", "0"]
    run(*command, "--keyring-provider", way, "--index-url", index, "no-such-package-of-ours")
    assert wanted in [asked.get("authorization") for asked in web.asked]


@pytest.mark.hosts
def test_twine_logs_in_to_an_index(keyring, writer, web, tmp_path):
    """An upload has the password that keyring knows."""
    pytest.importorskip("twine", reason="twine is not installed")
    host = web.url.removeprefix("http://")
    writer.kv.put(f"credentials/keyring/{host}", {"username": "ada", "password": "FAKE-index"})
    wheel = tmp_path / "ours-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("ours-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: ours\nVersion: 1\n")
        file.writestr("ours-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("ours-1.dist-info/RECORD", "")
    command = [
        sys.executable,
        "-m",
        "twine",
        "upload",
        "--non-interactive",
        "--disable-progress-bar",
        "-u",
        "ada",
    ]
    done = run(*command, "--repository-url", f"{web.url}/legacy/", str(wheel))
    assert done.returncode == 0, done.stdout + done.stderr
    assert web.asked[-1]["authorization"] == "Basic " + base64.b64encode(b"ada:FAKE-index").decode()
    assert "FAKE" not in done.stdout + done.stderr


# ── where they are ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://Registry.Example/team/", ("registry.example", "team")),
        ("registry.example:5000", ("registry.example:5000", "")),
        ("https://ada@git.example/a/b.git", ("git.example", "a/b.git")),
        ("http://[::1]:8080/x", ("[::1]:8080", "x")),
    ],
)
def test_an_address_says_where_its_credentials_are(address, place):
    """Host, with its port, and path."""
    assert stored.host_of(address) == place


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://",
        "https://a.example/../b",
        "https://a.example/%2e%2e/b",
        "https://a..example/",
        "https://a.example/%0ab",
        "https://[::1",
        "a b",
        "https://../x",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(address):
    """Nobody's URL names a secret that is not of a host."""
    with pytest.raises(Invalid, match="could"):
        stored.host_of(address)


def test_the_folder_may_be_another(monkeypatch):
    """By a variable."""
    assert stored.name_of("git", "a.example", "x") == "credentials/git/a.example/x"
    monkeypatch.setenv("ML_SECRETS_CREDENTIALS", "/team-a/logins/")
    assert stored.name_of("docker", "a.example") == "team-a/logins/docker/a.example"
