"""Links lead somewhere, commands parse, decisions are listed, and no page tells of the machine it was written on."""

import re
import shlex
from urllib.parse import unquote

import click
import pytest
from pages import DOCS, PAGES, ROOT, blocks

from ml_secrets.agent.declared import declared
from ml_secrets.agent.resident import own_config
from ml_secrets.cli.command import two_dashes
from ml_secrets.cli.main import front
from ml_secrets.domain.tree import parse
from ml_secrets.integrations.kubernetes import settings as webhook
from ml_secrets.server.config import load, read

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
_REDIRECTION = re.compile(r"\s[<>#]|\s2>")
_COMMAND = re.compile(r"(?:^|[|(;&!]|\bdo\b|\$\()\s*(?:[A-Z_]+=\S+\s+)*(ml-secrets [^|;&)\n]*)", re.MULTILINE)
_MACHINE = re.compile(r"(?<![\w/])/(?:work|root)/|/home/[a-z]|/tmp/[a-z]|\.pyenv|site-packages")
ids = [str(page.relative_to(ROOT)) for page in PAGES]


def anchors(page):
    """The anchors that a Markdown viewer gives the page's headings."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def links(page):
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [target for target in _LINK.findall(text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    """Every relative link names a file that is there, and a heading in it."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def test_every_page_is_reached_from_the_readme():
    """No page is an orphan."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
        waiting += [file for file in found if file.suffix == ".md" and file.exists() and file not in reached]
    assert set(PAGES) <= reached, sorted(set(PAGES) - reached)


def test_every_decision_is_in_the_index():
    """docs/decisions/README.md has a row for each record, in order; no number is left out or given twice."""
    folder = DOCS / "decisions"
    records = sorted(file.name for file in folder.glob("[0-9]*.md"))
    for number, name in enumerate(records, start=1):
        assert name.startswith(f"{number:04}-")
        assert (folder / name).read_text(encoding="utf-8").startswith(f"# {number}. ")
    assert re.findall(r"\]\((\d+[^)]*)\)", (folder / "README.md").read_text(encoding="utf-8")) == records


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_no_page_names_a_place_of_its_writers_machine(page):
    """Paths in the documentation are those of any reader."""
    assert not _MACHINE.search(page.read_text(encoding="utf-8"))


def commands():
    """Every `ml-secrets …` in a block or between backticks, without what the shell makes of it."""
    for page in PAGES:
        texts = [text.replace("\\\n", " ") for _, text in blocks(page, "sh", "console")]
        prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
        texts += [code for row in prose.splitlines() for code in row.split("`")[1::2]]
        for text in texts:
            inner = _SUBSTITUTION.findall(text)
            for part in (_SUBSTITUTION.sub("x", text), *inner):
                yield from (_REDIRECTION.split(found)[0].strip() for found in _COMMAND.findall(part))


def test_the_search_for_commands_finds_them():
    """Commands behind pipes, variables and `$(` count."""
    found = set(commands())
    assert len(found) > 80
    assert "ml-secrets write --field hash sys/audit-hash/file input=-" in found


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_in_the_documentation_is_one(line):
    """There is such a command, it knows these options, and it takes so many arguments."""
    words = two_dashes(shlex.split(line)[1:])
    command, context = front(), None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        parser = command.make_parser(context)
        parser.allow_interspersed_args = False
        _, rest, _ = parser.parse_args(list(words))
        if not rest:
            return
        words = rest[1:]
        command = command.get_command(context, rest[0])
        assert command is not None, f"there is no command {rest[0]}"
    _, surplus, _ = command.make_parser(click.Context(command, parent=context)).parse_args(list(words))
    assert not surplus


AGENT = DOCS / "how-to" / "run-an-agent.md"
JOBS = {
    DOCS / "how-to" / f"{name}.md" for name in ("run-a-command-with-secrets", "run-in-slurm", "use-in-ci")
}
KUBERNETES = DOCS / "how-to" / "use-in-kubernetes.md"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_configuration_in_the_documentation_is_one(page):
    """Each TOML block is read by the server; one that shows a part only is read beside a storage in memory. Agents, webhooks and jobs have their own."""
    for _, text in blocks(page, "toml") if page not in {AGENT, KUBERNETES, *JOBS} else ():
        tree = parse(text, ".toml")
        assert not read({"storage": {"type": "inmem"}} | tree).ignored


def test_the_configuration_of_an_agent_is_one(tmp_path):
    """Each TOML block of its page, with users that there are here and the template that it names."""
    (tmp_path / "db.env.j2").write_text('{{ secret("team-a/db").password }}')
    for _, text in blocks(AGENT, "toml"):
        here = text.replace("app:app", "root:root").replace('["app"]', '["root"]')
        assert own_config.read(parse(here, ".toml"), tmp_path).wanted


@pytest.mark.parametrize("page", sorted(JOBS), ids=lambda page: page.stem)
def test_the_declaration_of_a_job_is_one(page, tmp_path):
    """The TOML blocks of its pages, as ml-secrets.toml."""
    for _, text in blocks(page, "toml"):
        (tmp_path / "ml-secrets.toml").write_text(text)
        declared(tmp_path, tmp_path / "ml-secrets.toml")


def test_the_configuration_of_a_webhook_is_one(tmp_path):
    """The TOML block of its page, with an authority that there is here."""
    (tmp_path / "ca.crt").write_text("an authority")
    (text,) = (text for _, text in blocks(KUBERNETES, "toml"))
    (tmp_path / "webhook.toml").write_text(text.replace("/etc/ml-secrets/server-ca.crt", "ca.crt"))
    assert webhook.load(tmp_path / "webhook.toml", {}).cacert == "an authority"


def test_the_configuration_in_deploy_is_one():
    """The file that people copy."""
    assert not load(ROOT / "deploy" / "server.toml").ignored
