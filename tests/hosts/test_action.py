"""Our action for workflows, by the schema of actions and by zizmor, which looks for what is unsafe in them. Neither asks anybody outside."""

import subprocess
import sys
from pathlib import Path

import pytest

ACTION = Path(__file__).parents[2] / "deploy" / "github" / "fetch" / "action.yml"
PROGRAMS = {
    "check-jsonschema": ["--builtin-schema", "vendor.github-actions"],
    "zizmor": ["--offline", "--no-progress", "--pedantic"],
}
UNSAFE = ("run: |\n        options=", "run: |\n        echo ${{ inputs.files }}\n        options=")
WRONG = ("using: composite", "using: composites")


def said(program, path):
    """Its exit code, and what it said."""
    found = Path(sys.executable).with_name(program)
    if not found.exists():
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [found, *PROGRAMS[program], path], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_has_nothing_to_say(program):
    """The action as it is."""
    code, told = said(program, ACTION)
    assert code == 0, told


@pytest.mark.parametrize(("program", "change"), [("check-jsonschema", WRONG), ("zizmor", UNSAFE)])
def test_it_would(program, change, tmp_path):
    """What is wrong, or lets an input be run as a program, is found."""
    text = ACTION.read_text()
    assert change[0] in text
    (tmp_path / "action.yml").write_text(text.replace(*change))
    assert said(program, tmp_path / "action.yml")[0] != 0
