"""Notebooks run by nbclient in a real kernel: what is displayed, and what is saved."""

import json

import pytest

from ml_secrets import Client

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
VALUE = "sk-example-4f9d/7+Zq.notakey"
LEAKY = [
    "print(key.reveal())",
    "key.reveal()",
    "import sys; sys.stderr.write(key.reveal() + '\\n')",
    "from IPython.display import HTML, display; display(HTML(f'<b>{key.reveal()}</b>'))",
    "import base64; base64.b64encode(key.reveal().encode())",
    "def f(token):\n    raise ValueError('bad ' + token)\nf(key.reveal())",
    "%xmode Verbose\nf(key.reveal())",
    "{'a': [key.reveal()]}",
]


@pytest.fixture
def notebook(dev_server, tmp_path, monkeypatch):
    """Run cells in a kernel that reads from a real server; gives the outputs of each, and the whole as text."""
    monkeypatch.setenv("ML_SECRETS_ADDR", dev_server.url)
    monkeypatch.setenv("ML_SECRETS_TOKEN", dev_server.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Client(dev_server.url, dev_server.token) as client:
        client.kv.put("openai/api-key", {"value": VALUE, "other": "second-field-value"})

    def run(*cells):
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbclient.NotebookClient(
            made, kernel_name="python3", allow_errors=True, timeout=120, startup_timeout=300
        ).execute()
        return [cell.outputs for cell in made.cells], nbformat.writes(made)

    return run


def test_without_the_extension_a_value_is_saved(notebook):
    """The leak of today."""
    _, text = notebook("from ml_secrets import live\nkey = live('openai/api-key', field='value')", *LEAKY)
    assert json.dumps(VALUE)[1:-1] in text


def test_with_it_no_output_has_the_value(notebook):
    """Streams, results, displays, base64, errors with and without locals; what else they show stays."""
    outputs, text = notebook("%load_ext ml_secrets", "%secret openai/api-key value as key", *LEAKY)
    assert VALUE not in text
    assert "•" in outputs[1][0].text
    assert outputs[2][0].text == "[masked]\n"
    assert outputs[3][0].data["text/plain"] == "'[masked]'"
    assert outputs[5][0].data["text/html"] == "<b>[masked]</b>"
    assert outputs[6][0].data["text/plain"] == "b'[masked]'"
    assert outputs[7][0].evalue == "bad [masked]"
    assert outputs[8][-1].ename == "ValueError"


def test_the_magic_binds_a_handle(notebook):
    """By the last part of the name, by a name of one's own, by a field; what is wrong is told without a traceback."""
    outputs, _ = notebook(
        "%load_ext ml_secrets",
        "%secret openai/api-key other",
        "api_key.reveal() == 'second-field-value'",
        "%secret openai/api-key as both",
        "sorted(both.keys())",
        "%secret no/such",
        "%secret",
    )
    assert outputs[2][0].data["text/plain"] == "True"
    assert outputs[4][0].data["text/plain"] == "['other', 'value']"
    assert outputs[5][0].text.startswith("NotFound: ")
    assert outputs[6][0].text.startswith("Invalid: ")


KEPT = [
    "%logstart -o log.py",
    "key.reveal()",
    "print(key.reveal())",
    "import sys; sys.stderr.write(key.reveal())",
    "from IPython.display import display; display(key)",
    "raise ValueError(key.reveal())",
    "%history -o -f history.txt",
    "x = key.reveal()",
    "%store x",
    "%notebook kept.ipynb",
]


@pytest.mark.parametrize("guarded", [False, True])
def test_what_ipython_writes_down_has_no_value(notebook, tmp_path, monkeypatch, guarded):
    """Its log with outputs, its history of outputs, its stored variables and the notebook that it makes of a session; without the extension all have it."""
    monkeypatch.chdir(tmp_path)
    bind = "%secret openai/api-key value as key"
    plain = "from ml_secrets import live\nkey = live('openai/api-key', field='value')"
    notebook(*(["%load_ext ml_secrets", bind] if guarded else [plain]), *KEPT)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holding = {path.name for path in files if VALUE.encode() in path.read_bytes()}
    names = {"log.py", "history.txt", "kept.ipynb", "x"}
    assert names <= {path.name for path in files}
    assert holding == (set() if guarded else names)


CHILD = 'for i in "$@"; do printf %s "$i"; sleep 0.01; done; echo'
CHILDREN = [
    "import os, subprocess, sys",
    "value = key.reveal()",
    "subprocess.run(['sh', '-c', 'echo \"$0\" whole', value])",
    f"subprocess.run(['sh', '-c', {CHILD!r}, 'sh', *value])",
    "subprocess.run(['sh', '-c', 'echo \"$0\" given', value], stdout=sys.stdout)",
    "subprocess.run(['sh', '-c', 'printf %s \"$0\" >&2; sleep 0.3; echo \"$1\" >&2', value[:9], value[9:]])",
    "os.write(1, b'x' * 990 + value.encode())",
    "!echo {value} by shell",
    "import time; time.sleep(1)",
]


@pytest.mark.parametrize("guarded", [False, True])
def test_what_child_processes_print_is_masked(notebook, monkeypatch, capfd, guarded):
    """In the notebook, also when a value comes in pieces; and the server's own output, of which logs are made, has no copy of it."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    plain = "from ml_secrets import live\nkey = live('openai/api-key', field='value')"
    bind = ["%load_ext ml_secrets", "%secret openai/api-key value as key"] if guarded else [plain]
    outputs, _ = notebook(*bind, *CHILDREN)
    shown = "".join(one.get("text", "") for cell in outputs for one in cell if one.output_type == "stream")
    copied = "".join(capfd.readouterr())
    assert (VALUE in shown) is not guarded
    assert (VALUE in copied) is not guarded
    if guarded:
        assert shown.count("[masked]") == 6
        assert "[masked] given" in shown


@pytest.mark.parametrize("guarded", [False, True])
def test_the_debuggers_variables_are_masked(notebook, guarded):
    """What its panel lists, and what it shows of one."""
    from jupyter_client.manager import start_new_kernel

    notebook()  # says where the server is
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=300)
    plain = ["from ml_secrets import live", "key = live('openai/api-key', field='value')"]
    try:
        for cell in ["%load_ext ml_secrets", "%secret openai/api-key value as key"] if guarded else plain:
            client.execute_interactive(cell)
        client.execute_interactive("x = key.reveal()")
        for command, given in ("inspectVariables", {}), ("richInspectVariables", {"variableName": "x"}):
            asked = {"type": "request", "command": command, "seq": 1, "arguments": given}
            client.control_channel.send(client.session.msg("debug_request", asked))
            told = json.dumps(client.control_channel.get_msg(timeout=60)["content"])
            assert (VALUE in told, "[masked]" in told) == (not guarded, guarded)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_tab_offers_names(notebook):
    """Those of the folder that is being typed; no more after a name, nothing where nothing can be listed."""
    complete = "print(get_ipython().Completer.complete(None, {0!r}, {1})[1])"
    asked = ["%secret op", "%secret openai/", "%secret openai/api-key v", "%secret no/such/"]
    outputs, _ = notebook("%load_ext ml_secrets", *(complete.format(text, len(text)) for text in asked))
    shown = ["".join(one.get("text", "") for one in cell) for cell in outputs[1:]]
    assert "'openai/'" in shown[0]
    assert shown[1] == "['openai/api-key']\n"
    assert "openai" not in shown[2] + shown[3]


def test_it_can_be_unloaded(notebook):
    """All is as before."""
    outputs, _ = notebook(
        "%load_ext ml_secrets",
        "%secret openai/api-key value as key",
        "%unload_ext ml_secrets",
        "key.reveal()",
        "%secret openai/api-key",
    )
    assert outputs[3][0].data["text/plain"] == repr(VALUE)
    assert "`%secret` not found" in outputs[4][0].text


def saved(hook, tmp_path, cells):
    manager = pytest.importorskip("jupyter_server.services.contents.filemanager").FileContentsManager(
        root_dir=str(tmp_path), pre_save_hook=f"ml_secrets.integrations.jupyter.{hook}"
    )
    made = nbformat.v4.new_notebook(cells=cells)
    manager.save({"type": "notebook", "content": json.loads(nbformat.writes(made))}, "n.ipynb")
    return (tmp_path / "n.ipynb").read_text()


def cell(source, text):
    return nbformat.v4.new_code_cell(
        source, execution_count=3, outputs=[nbformat.v4.new_output("stream", text=text)]
    )


def test_jupyters_server_strips_outputs(tmp_path):
    """By its own contents manager; the code stays."""
    text = saved(
        "strip_outputs", tmp_path, [cell("1 + 1", "the output"), nbformat.v4.new_markdown_cell("words")]
    )
    assert "the output" not in text
    assert "1 + 1" in text
    assert "words" in text
    assert '"execution_count": null' in text


def test_jupyters_server_masks_what_looks_like_a_secret(tmp_path):
    """A key in an output and one that was typed into the code."""
    pytest.importorskip("kingfisher_sdk")
    token = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    text = saved("mask_outputs", tmp_path, [cell(f"token = '{token}'", f"see {token} here\n")])
    assert token not in text
    assert "here" in text
