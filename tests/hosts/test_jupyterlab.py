"""JupyterLab in headless Chromium: the tutorial's job by keyboard, and what is left of a secret in the page, in files and in the browser."""

import shutil
from pathlib import Path

import pytest
from tests.hosts import lab as labs
from tests.soon import eventually

from ml_secrets import Client
from ml_secrets.cli.demo_stage import Tracker, make_database
from ml_secrets.detect.known import KnownValues
from ml_secrets.errors import Refusal
from ml_secrets.testing.programs import dev_server

nbformat = pytest.importorskip("nbformat")
for module in ("jupyterlab", "ipykernel", "ipywidgets", "selenium", "sklearn", "sqlalchemy"):
    pytest.importorskip(module)

EXAMPLE = Path(__file__).parents[2] / "examples" / "train.ipynb"
KEY, PASSWORD = "sk-example-4f9d/7+Zq.notakey", "example-password-of-ada-8213"
LOGIN = ["%load_ext ml_secrets", "%secret_login ada", "%secret team-vision/training as job"]
VALUE = 'job["TRACKING_API_KEY"].reveal()'
LEAKS = {
    "print": f"print({VALUE})",
    "result": VALUE,
    "stderr": f"import sys; sys.stderr.write({VALUE})",
    "base64": f"import base64; base64.b64encode({VALUE}.encode())",
    "html": f"from IPython.display import HTML, display; display(HTML('<b title=\"' + {VALUE} + '\">b</b>'))",
    "update": f"shown = display('x', display_id=True); shown.update({VALUE})",
    "traceback": f"%xmode Verbose\ndef fetch(token):\n    url = 'https://' + token\n    raise ValueError(url)\nfetch({VALUE})",
    "widget": f"import ipywidgets; ipywidgets.Text(value={VALUE}, description={VALUE})",
    "widget that shows output": f"out = ipywidgets.Output()\nwith out:\n    print({VALUE})\nout",
    "widget of bytes": f"ipywidgets.Image(value={VALUE}.encode(), format='png')",
    "logging": f"import logging; logging.error('with %s', {VALUE})",
    "inspection": f"value = {VALUE}\nvalue?",
    "history of outputs": "%history -o",
    "dictionary": f"holder = {{{VALUE}: 1}}",
}


class Stage:
    """A server on which `ada` may read and write a team's secrets, and a JupyterLab; nothing in its environment says who one is."""

    def __init__(self, tmp, server, root, tracker):
        self.tmp, self.root, self.tracker = tmp, root, tracker
        root.write("sys/auth/userpass", {"type": "userpass"})
        rule = """path "secret/data/team-vision/*" { capabilities = ["create", "read", "update"] }
                  path "secret/metadata/team-vision/*" { capabilities = ["list"] }"""
        root.write("sys/policies/acl/team-vision", {"policy": rule})
        root.write("auth/userpass/users/ada", {"password": PASSWORD, "token_policies": "team-vision"})
        database = make_database(tmp / "samples.db")
        fields = {"DATABASE_URL": database, "TRACKING_URL": tracker.url, "TRACKING_API_KEY": KEY}
        root.kv.put("team-vision/training", fields)
        for name in ("work", "home"):
            (tmp / name).mkdir()
        self.lab = labs.Lab(tmp / "work", tmp / "home", ML_SECRETS_ADDR=server.url)

    def notebook(self, name, cells):
        """Write a notebook, as somebody else would have."""
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        (self.tmp / "work" / name).write_text(nbformat.writes(made))
        return name

    def tokens(self):
        """Accessors of the live tokens that notebooks have."""
        found = set()
        for accessor in self.root.list("auth/token/accessors").data["keys"]:
            try:
                told = self.root.write("auth/token/lookup-accessor", {"accessor": accessor}).data
            except Refusal:
                continue
            if told["display_name"] == "userpass-ada" and told.get("read_only"):
                found.add(accessor)
        return found

    def holding(self, *values):
        """Every file below here, logs and the browser's profile among them, that holds one of them in any form."""
        known = KnownValues(list(values))
        files = [path for path in self.tmp.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(self.tmp)) for path in files if known.search(path.read_bytes())[0]}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    labs.needs_a_browser()
    tmp = tmp_path_factory.mktemp("stage")
    with dev_server(tmp) as server, Tracker(KEY) as tracker, Client(server.url, server.token) as root:
        made = Stage(tmp, server, root, tracker)
        with made.lab:
            yield made


@pytest.fixture(scope="module")
def browser(stage):
    with labs.Browser(stage.tmp / "profile") as opened:
        yield opened


def test_the_tutorials_job_runs_in_a_notebook(stage, browser):
    """Opened from examples/, run by Shift+Enter, the password typed into its prompt; it trains, and nothing of a secret is anywhere."""
    shutil.copy(EXAMPLE, stage.tmp / "work")
    notebook = labs.Notebook(browser, stage.lab, EXAMPLE.name)
    assert notebook.run(0) == ""
    assert "ada: read-only, for 900 s" in notebook.run(1, PASSWORD)
    assert "training = <LiveSecret team-vision/training ••••>" in notebook.run(2)
    assert notebook.run(3) == "(569, 30)"
    notebook.run(4)
    assert "epoch 5: accuracy 0.9" in notebook.run(5)
    assert notebook.run(6) == "'[masked]'"
    assert len(stage.tracker.metrics) == 5
    notebook.save("[masked]")
    assert nothing_left(stage, notebook)


def test_whatever_shows_a_value_shows_it_masked(stage, browser):
    """In the page, the browser's stores, the saved file and its checkpoints, the kernel's history and the server's log."""
    name = stage.notebook("leaks.ipynb", [*LOGIN, *LEAKS.values()])
    notebook = labs.Notebook(browser, stage.lab, name)
    notebook.run(0)
    notebook.run(1, PASSWORD)
    notebook.run(2)
    shown = {what: notebook.run(number) for number, what in enumerate(LEAKS, len(LOGIN))}
    assert nothing_left(stage, notebook)
    for what in ("print", "result", "stderr", "base64", "update", "traceback", "logging"):
        assert "[masked]" in shown[what], what
    assert eventually(lambda: "[masked]" in notebook.path.read_text()), "no autosave"
    assert stage.holding(KEY, PASSWORD) == set()
    offered = notebook.complete('holder["')
    assert any("[masked]" in one for one in offered), offered
    offered = notebook.complete("%secret team-vision/")
    assert any("team-vision/training" in one for one in offered), offered
    notebook.save("application/vnd.jupyter.widget-state+json")
    assert nothing_left(stage, notebook)


def nothing_left(stage, notebook):
    """No value and no password in the page, in what the browser keeps for it, or in any file."""
    known = KnownValues([KEY, PASSWORD])
    for where, text in {"page": notebook.text(), "stores": notebook.browser.stored()}.items():
        assert not known.search(text.encode())[0], where
    written = stage.tmp / "work"
    eventually(lambda: list(written.glob(".ipynb_checkpoints/*.ipynb")))
    assert list(stage.tmp.glob("home/ipython/profile_default/history.sqlite"))
    assert stage.holding(KEY, PASSWORD) == set()
    return True


def test_without_the_extension_a_value_is_in_page_and_file(stage, browser):
    """The leak of today; and the proof that looking for it finds it."""
    cells = [
        "from ml_secrets import Client",
        PLAIN,
        "client.get_secret('team-vision/training')['TRACKING_API_KEY'].reveal()",
    ]
    name = stage.notebook("bare.ipynb", cells)
    notebook = labs.Notebook(browser, stage.lab, name)
    try:
        for number in range(3):
            notebook.run(number, PASSWORD if number == 1 else None)
        assert KEY in notebook.text()
        notebook.save(KEY)
        assert eventually(lambda: "work/bare.ipynb" in stage.holding(KEY))  # autosaves write in place
    finally:
        browser.driver.get("about:blank")  # a page that is open saves once more by itself
        shutil.rmtree(stage.tmp / "work" / ".ipynb_checkpoints")
        (stage.tmp / "work" / "bare.ipynb").unlink()


PLAIN = "import getpass\nclient = Client()\nclient.login_userpass('ada', getpass.getpass()) and None"


def test_a_restart_asks_again(stage, browser):
    """The token is revoked with the kernel that had it, and the next one has none."""
    before = stage.tokens()
    notebook = labs.Notebook(browser, stage.lab, stage.notebook("again.ipynb", LOGIN))
    notebook.run(0)
    notebook.run(1, PASSWORD)
    (first,) = stage.tokens() - before
    notebook.restart()
    assert eventually(lambda: first not in stage.tokens())
    notebook.run(0)
    assert "Unauthenticated" in notebook.run(2)
    notebook.run(1, PASSWORD)
    assert "job = " in notebook.run(2)
    (second,) = stage.tokens() - before
    assert second != first


def test_the_token_ends_with_the_kernel_and_not_with_the_tab(stage, browser):
    """A closed tab leaves the kernel at work; the server's end ends it, and every token."""
    before = stage.tokens()
    notebook = labs.Notebook(browser, stage.lab, stage.notebook("left.ipynb", [*LOGIN, VALUE]))
    notebook.run(0)
    notebook.run(1, PASSWORD)
    (mine,) = stage.tokens() - before
    browser.driver.get("about:blank")
    notebook = labs.Notebook(browser, stage.lab, "left.ipynb")
    notebook.run(2)
    assert notebook.run(3) == "'[masked]'"
    assert mine in stage.tokens()
    stage.lab.stop()
    assert eventually(lambda: not stage.tokens())
    assert stage.holding(KEY, PASSWORD) == set()
