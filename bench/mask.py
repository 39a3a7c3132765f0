"""What masking costs: megabytes a second for each engine and number of values, and whether anything leaks. Writes its part of DELIVERY.md."""

import argparse
import base64
import json
import random
import string
import time

import report

from ml_secrets.detect import finders
from ml_secrets.detect.encodings import forms_of
from ml_secrets.detect.known import KnownValues
from ml_secrets.detect.mask import Mask

NUMBERS = (10, 100, 1_000, 10_000)
PIECE = 65_536
LETTERS = string.ascii_letters + string.digits
BAR = 150
BETWEEN = b"\x00;\x00"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=8, help="length of the text")
    options.add_argument("--rounds", type=int, default=3, help="the best of so many runs counts")
    options.add_argument("--numbers", type=int, nargs="*", default=NUMBERS, help="how many values")
    chosen = options.parse_args()
    text = b"".join(log(random.Random(1), chosen.megabytes * 1_000_000))
    rows = []
    for number in chosen.numbers:
        values = [value(random.Random(n), n) for n in range(number)]
        for engine in finders.installed():
            rows.append(measure(engine, values, text, chosen.rounds))
            print(rows[-1], flush=True)
    if tuple(chosen.numbers) == NUMBERS:
        report.write("Masking", section(rows))


def value(rng, number):
    """Mostly tokens and passwords; some tokens that begin alike, connection strings, and a key now and then."""

    def some(length, of=LETTERS):
        return "".join(rng.choices(of, k=length))

    if number % 500 == 7:
        body = "\n".join(some(64, LETTERS + "+/") for _ in range(26))
        return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"
    if number % 10 == 1:
        return f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{some(120)}.{some(43, LETTERS + '-_')}"
    if number % 20 == 2:
        return f"postgresql://trainer:{some(16)}@db.example.com:5432/features"
    if number % 4 == 3:
        return some(rng.randint(12, 24), LETTERS + "!#$%&*+/=?@^_~'\" ")
    return some(rng.randint(20, 48))


def log(rng, length):
    """Output of training jobs: progress, structured logs, paths, digests, base64, connection strings without a password."""
    while length > 0:
        step, loss = rng.randrange(100_000), rng.random()
        yield (line := _LINES[step % len(_LINES)](rng, step, loss).encode() + b"\n")
        length -= len(line)


_LINES = (
    lambda _, step, loss: (
        f"epoch {step // 1000} step {step} loss {loss:.6f} lr {loss / 1000:.2e} 213.4 samples/s"
    ),
    lambda rng, step, loss: json.dumps(
        {"level": "info", "step": step, "run": rng.randbytes(8).hex(), "loss": loss}
    ),
    lambda rng, step, _: (
        f"saved /data/checkpoints/run-{step}/model.safetensors sha256:{rng.randbytes(32).hex()}"
    ),
    lambda rng, step, _: (
        f"GET https://hub.example.com/api/models/{step}/resolve?rev={rng.randbytes(20).hex()} 200"
    ),
    lambda rng, _, __: f"image preview {base64.b64encode(rng.randbytes(60)).decode()}",
    lambda _, step, __: f"connected to postgresql://db.example.com:5432/features as trainer, backend {step}",
)


def measure(engine, values, text, rounds):
    began = time.process_time()
    known = KnownValues(values, engine=engine)
    given = time.process_time()
    known.prepare()
    ready = time.process_time()
    return {
        "engine": engine,
        "values": len(values),
        "forms": len(known.forms()),
        "forms made": given - began,
        "ready": ready - given,
        "speed": max(speed(known, text, PIECE) for _ in range(rounds)),
        "line": 80 / max(speed(known, text[:400_000], 80) for _ in range(rounds)),
        "leaks": leaks(known, values),
    }


def speed(known, text, size):
    """Megabytes a second of processor time: what others do on the machine counts less so."""
    mask = Mask(known)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    began = time.process_time()
    out = sum(len(mask.feed(piece)) for piece in pieces) + len(mask.flush())
    taken = time.process_time() - began
    assert out == len(text)
    return len(text) / taken / 1e6


def leaks(known, values):
    """All forms of 100 of the values, cut at random: how many come out other than as one replacement."""
    rng = random.Random(2)
    forms = sorted(
        {form for each in rng.sample(values, min(100, len(values))) for form in forms_of(each.encode())}
    )
    stream, mask, out, at = BETWEEN.join(forms), Mask(known), b"", 0
    while at < len(stream):
        size = rng.choice((1, 2, 7, 80, 1000))
        out += mask.feed(stream[at : at + size])
        at += size
    return sum(each != b"[masked]" for each in (out + mask.flush()).split(BETWEEN)) + abs(
        mask.found - len(forms)
    )


def section(rows):
    lines = [
        f"`bench/mask.py`, {report.here()}. The text is the output of training jobs (progress, structured logs, digests,",
        f"base64), in pieces of 64 KB and in lines of 80 bytes. Times and speeds are of the processor, the best of some runs. The bar: {BAR} MB/s",
        "with 10,000 values and all their forms, and no leak. Leaks: of all forms of 100 values, cut at random into pieces of 1 to 1,000",
        "bytes, those that came out other than as one replacement.",
        "",
        "| values | forms | engine | forms made, s | engine ready, s | MB/s | a line, µs | leaks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['values']:,} | {row['forms']:,} | {row['engine']} | {row['forms made']:.2f} | {row['ready']:.2f} "
        f"| {row['speed']:.0f} | {row['line']:.0f} | {row['leaks']} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
