"""Run hvac's own integration tests against our server (or OpenBao), from a checkout of hvac that you have.

    python tests/conformance/hvac_suite/run.py CHECKOUT [openbao]

Prints passed / failed by file, and every test that failed. Exits with 1 when a test fails that is not in `expected.txt`
(tests that need an engine or a method which this build does not have, or that expect what no server does).
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = (
    "v1",
    "api/system_backend",
    "api/secrets_engines/test_kv_v1.py",
    "api/secrets_engines/test_kv_v2.py",
    "api/auth_methods/test_approle.py",
    "api/auth_methods/test_token.py",
)


def main(checkout: Path, server: str) -> int:
    """The exit status."""
    tests = checkout / "tests" / "integration_tests"
    if not tests.is_dir():
        print(
            f"{checkout} is no checkout of hvac: there is no tests/integration_tests in it", file=sys.stderr
        )
        return 2
    # Both servers' runs append to this file, and ours does not go on in a log that another program began.
    Path("/tmp/vault.audit.log").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        environment = os.environ | {
            "PATH": f"{HERE}:{os.environ['PATH']}",
            "PYTHONPATH": str(checkout),
            "HVAC_SUITE_SERVER": server,
        }
        command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q"]
        command += ["--tb=no", "--no-header", f"--junitxml={report}", *(str(tests / file) for file in FILES)]
        subprocess.run(command, cwd=checkout, env=environment, check=False, stdout=subprocess.DEVNULL)
        return told(report, expected(server))


def told(report: Path, known: set[str]) -> int:
    """Print what the report says."""
    passed, failed, skipped = Counter[str](), dict[str, str](), 0
    for case in ET.parse(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.integration_tests.").rpartition(".")[0]
        if case.find("skipped") is not None:
            skipped += 1
        elif case.find("failure") is None and case.find("error") is None:
            passed[file] += 1
        else:
            failed[f"{file}::{case.get('name')}"] = file
    broken = Counter(failed.values())
    for file in sorted({*passed, *broken}):
        print(f"{passed[file]:4} / {broken[file]:2}  {file}")
    print(f"{passed.total():4} / {broken.total():2}  in all; {skipped} skipped")
    for name in sorted(failed):
        print(f"failed{' as expected' if name in known else ''}: {name}")
    if not passed:
        print("no test ran: is the checkout whole?", file=sys.stderr)
    return 0 if passed and failed.keys() <= known else 1


def expected(server: str) -> set[str]:
    """The names of tests that are known to fail on that server."""
    rows = (HERE / "expected.txt").read_text().splitlines()
    return {name for who, _, name in (row.partition(" ") for row in rows) if who in (server, "both")}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), (sys.argv[2:] or ["ml-secrets"])[0]))
