"""The texts that travel with a pod: whatever stands in an annotation stays one value of one setting."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from ml_secrets.agent.declared import declared
from ml_secrets.integrations.kubernetes.injection import Injection, SecretFile
from ml_secrets.integrations.kubernetes.logins import Login
from ml_secrets.integrations.kubernetes.texts import for_agent, for_fetch

LOGIN = Login("approle", secret="identity")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HOSTILE = [
    '"',
    '\\"',
    '"\n[exec]\ncommand = ["sh"]\n#',
    "'''",
    '"""',
    "\x7f\x85\u2028",
    "\r\n",
    "}}{{",
    "{% raw %}",
]


def plain(text):
    """As a template that gives the same text."""
    return "".join(f'{{{{ "{one}" }}}}' if one in "{}%#" else one for one in text)


@settings(max_examples=200, deadline=None)
@given(TEXTS | st.sampled_from(HOSTILE) | st.tuples(TEXTS, st.sampled_from(HOSTILE)).map("".join))
def test_no_text_becomes_a_setting(text):
    """A template and a command: an agent's configuration says both as they are, and nothing else."""
    file = SecretFile("file", f"text: {plain(text)}", "jinja", command=text)
    read = tomllib.loads(for_agent(Injection(LOGIN, (file,)), "/run/x", "/run/door/agent.sock"))
    assert read.keys() == {"login", "template", "listener"}
    (template,) = read["template"]
    assert template["contents"] == file.text
    assert template.get("on-change", ["sh", "-c", ""]) == ["sh", "-c", text]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS | st.sampled_from(HOSTILE), min_size=1, max_size=3, unique=True))
def test_no_text_becomes_a_file(tmp_path_factory, texts):
    """Nor does one that `fetch` reads: as many files as there are, each with its own text."""
    files = tuple(
        SecretFile(f"file-{number}", f"{{{{ secret://secret/a#b }}}}{text.replace('{{', '')}", "references")
        for number, text in enumerate(texts)
    )
    config = tmp_path_factory.mktemp("fetch") / "fetch.toml"
    config.write_text(for_fetch(Injection(LOGIN, files, stays=False)), newline="")
    found = declared(config.parent, config).of("file")
    assert [one.name for one in found] == [one.name for one in files]
    rest = ["".join(part for part in one.content.parts if isinstance(part, str)) for one in found]
    assert rest == [text.replace("{{", "") for text in texts]


def test_a_brace_before_a_reference_stays_a_brace():
    """As `fetch` has it: it begins nothing together with the braces of ours that follow."""
    file = SecretFile("file", "{{{ secret://secret/a#b }}}{", "references")
    read = tomllib.loads(for_agent(Injection(LOGIN, (file,)), "/run/x", "/run/door/agent.sock"))
    (template,) = read["template"]
    assert template["contents"] == '{{ "{" }}{{ secret("secret://secret/a#b") }}}{{ "{" }}'
