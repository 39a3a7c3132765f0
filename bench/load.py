"""Load from wrk, and what it says."""

import re
import subprocess
import tempfile
from dataclasses import dataclass

SCRIPT = """
math.randomseed({seed})
local headers = {{ ["X-Vault-Token"] = "{token}", ["Content-Type"] = "application/json" }}
request = function()
  return wrk.format("{method}", {path}, headers, {body})
end
"""


@dataclass
class Load:
    """What one operation sends: Lua expressions for path and body."""

    method: str
    path: str
    body: str = "nil"
    with_token: bool = True


READ = Load("GET", '"/v1/secret/data/bench/s" .. math.random(0, 999)')
WRITE = Load(
    "POST",
    '"/v1/secret/data/bench/w" .. math.random(0, 999)',
    '\'{"data":{"username":"fake-user","password":"fake-password-\' .. math.random(1, 1000000) .. \'"}}\'',
)
LOOKUP = Load("GET", '"/v1/auth/token/lookup-self"')
CREATE = Load("POST", '"/v1/auth/token/create"', '\'{"ttl":"10m"}\'')


def login(contender):
    body = f'\'{{"role_id":"{contender.role_id}","secret_id":"{contender.secret_id}"}}\''
    return Load("POST", '"/v1/auth/approle/login"', body, with_token=False)


@dataclass
class Figures:
    """Requests a second; median and 99th percentile in milliseconds."""

    rate: float
    median: float
    p99: float


def run(contender, load, connections, seconds):
    """One measured run. Raises when any answer was not 2xx."""
    token = contender.token if load.with_token else ""
    text = SCRIPT.format(seed=connections, token=token, method=load.method, path=load.path, body=load.body)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(text)
        script.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--latency",
            "-s",
            script.name,
            contender.url,
        ]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"{contender.name}: {out}")
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", out)[1])
    return Figures(rate, _percentile(out, 50), _percentile(out, 99))


def _percentile(out, which):
    value, unit = re.search(rf"\s{which}%\s+([0-9.]+)(us|ms|s)", out).groups()
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
