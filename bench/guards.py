"""What the guards of a process cost: a line that is logged, and megabytes a second of text. Writes its part of DELIVERY.md."""

import logging
import random
import sys
import time

import numpy as np  # guards use it where the program has it
import report
from mask import log, value

from ml_secrets import redaction
from ml_secrets.redaction.fingerprints import Fingerprints

LINES = 20_000
TEXT = b"".join(log(random.Random(1), 4_000_000))


def main():
    lines = [
        f"`bench/guards.py`, {report.here()}. Times and speeds are of the processor, the best of five runs;",
        "text as for masking above, in one piece.",
        "",
        "| values | without numpy, MB/s | with numpy, MB/s | random bytes with numpy, MB/s | a value is learnt in, ms |",
        "|---|---|---|---|---|",
        *map(searched, (20, 200, 2_000)),
        "",
        f"A line of 120 bytes that is logged through one handler takes {logged():.0f} µs without guards, {guarded():.0f} µs with the guard of `logging`",
        f"and 20 values, and {guarded(unknown=True):.0f} µs where unknown secrets are looked for, too.",
    ]
    report.write("Guards", "\n".join(lines))


def searched(number):
    known, values = Fingerprints(), [value(random.Random(n), n).encode() for n in range(number)]
    began = time.process_time()
    for each in values:
        known.add(each, "a value")
    learnt = (time.process_time() - began) / number * 1000
    sys.modules["numpy"] = None
    plain = speed(known, TEXT)
    sys.modules["numpy"] = np
    noise = random.Random(2).randbytes(len(TEXT))
    return (
        f"| {number:,} | {plain:.0f} | {speed(known, TEXT):.0f} | {speed(known, noise):.0f} | {learnt:.2f} |"
    )


def speed(known, text):
    return len(text) / best(lambda: known.search(text)) / 1e6


def best(work):
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def logged():
    logger = logging.Logger("train")  # noqa: LOG001 - of this program alone
    handler = logging.StreamHandler(sys.stdout)
    handler.stream = open("/dev/null", "w")  # noqa: PTH123, SIM115 - until the program ends
    logger.addHandler(handler)

    def work():
        for step in range(LINES):
            logger.error(
                "epoch 3 step %d loss %.6f lr 1.00e-04 213.4 samples/s, %s", step, 0.123456, "x" * 57
            )

    return best(work) / LINES * 1e6


def guarded(*, unknown=False):
    redaction.know(**{f"value{n}": value(random.Random(n), n) for n in range(20)})
    redaction.install(only=["logging"], unknown=unknown)
    try:
        return logged()
    finally:
        redaction.uninstall()


if __name__ == "__main__":
    main()
