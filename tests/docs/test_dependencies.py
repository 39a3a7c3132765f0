"""What comes in from outside: named in docs/explain/dependencies.md, pinned by hash in requirements/, installed without a surprise."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!_-]+)(?: ; [^\\#@]+)? \\", re.ASCII)
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?: \\)?", re.ASCII)


def names(requirements):
    """Names of packages as pip compares them."""
    found = {re.match(r"[A-Za-z0-9._-]+", text)[0] for text in requirements if isinstance(text, str)}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found} - {"ml-secrets"}


def runtime():
    """The declared dependencies of the product, extras too."""
    project = PROJECT["project"]
    return names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))


def entries(path):
    """(name, lines that follow) of each pinned package in a list; fails on any line of another kind."""
    found, name = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("    "):
            found[name].append(line.strip())
            continue
        pinned = PINNED.fullmatch(line)
        assert pinned, f"{path.name}: not pinned, or not by name: {line}"
        name = re.sub(r"[-_.]+", "-", pinned[1]).lower()
        found.setdefault(name, [])
    return found


def test_the_page_names_exactly_the_dependencies():
    """Every dependency that pyproject.toml declares has a row with its use, upkeep and replacement, and no other has one."""
    page = (ROOT / "docs" / "explain" / "dependencies.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| `", line)]
    assert names(row.split("`")[1] for row in rows) == runtime()
    for row in rows:
        assert all(cell.strip() for cell in row.strip("|").split("|"))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_a_list_pins_everything_by_hash(path):
    """A version and at least one SHA-256 for each package; no address, no index, no folder, nothing editable."""
    found = entries(path)
    assert len(found) > 10
    for name, lines in found.items():
        assert lines, f"{path.name}: {name} has no hash"
        assert all(HASH.fullmatch(line) for line in lines), name


@pytest.mark.parametrize(
    ("path", "extras", "groups"),
    [
        ("server.txt", ("server", "yaml"), ("build",)),
        ("image.txt", ("server", "agent", "yaml", "csi"), ("build",)),
        ("demo.txt", ("server", "yaml", "demo"), ("build",)),
        ("dev.txt", ("server", "yaml", "demo"), ("build", "dev")),
        ("tools.txt", ("server", "yaml"), ("build", "tools")),
        ("clients.txt", (), ("build", "clients")),
        ("hosts.txt", ("server", "agent", "detect", "yaml", "csi"), ("build", "dev", "hosts")),
    ],
)
def test_a_list_holds_what_is_declared(path, extras, groups):
    """With the tools that build the package, so that a build fetches nothing."""
    project = PROJECT["project"]
    wanted = names(project["dependencies"]) | names(PROJECT["build-system"]["requires"])
    wanted = wanted.union(*(names(project["optional-dependencies"][extra]) for extra in extras))
    wanted = wanted.union(*(names(PROJECT["dependency-groups"][group]) for group in groups))
    assert wanted <= entries(ROOT / "requirements" / path).keys()


def test_the_lists_agree():
    """One package has one version in all lists, but for that of hvac's tests (they want older libraries, and get nothing of ours).

    Tools that we serve may want others of what none of our own lists has.
    """
    pinned = re.compile(r"^([A-Za-z0-9._-]+)==([^ ]+)", re.MULTILINE)
    versions = {}
    ours = {
        name for name, _ in pinned.findall((ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"))
    }
    for path in LISTS:
        if path.name == "hvac.txt":
            continue
        for name, version in pinned.findall(path.read_text(encoding="utf-8")):
            if path.name == "hosts.txt" and name not in ours:
                continue
            versions.setdefault(name, {}).setdefault(path.name, set()).add(version)
    for name, found in versions.items():  # one for each Python, where a package dropped the older ones
        assert len({frozenset(some) for some in found.values()}) == 1, (name, found)


def test_nothing_is_installed_that_is_not_in_a_list():
    """Every install in the Makefile asks for hashes, or takes this package alone, without an index and without build isolation."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [
        line
        for line in makefile.splitlines()
        if line.startswith("\t") and re.search(r"\$\(PIP\)|-m pip ", line)
    ]
    assert len(installs) == 4
    for line in installs:
        by_hash = "--require-hashes" in line
        itself = all(option in line for option in ("--no-deps", "--no-index", "--no-build-isolation"))
        resolver = "'uv>=" in line  # of `make lock`, which is there to ask the index
        assert by_hash or itself or resolver, line


def test_the_build_runs_no_code_of_the_projects():
    """There is no setup.py, and hatchling has no hook that could fetch something."""
    assert not (ROOT / "setup.py").exists()
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"
    assert "hooks" not in str(PROJECT["tool"]["hatch"])
