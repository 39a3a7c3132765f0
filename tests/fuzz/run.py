"""Coverage-guided fuzzing of the parsers with atheris: `make fuzz`, or `python -m tests.fuzz.run SECONDS [NAME ...]`.

Each parser gets its share of the seconds in a process of its own. What breaks one is left beside the working directory
as `crash-...` by libFuzzer, and the exit status is that of the first failure.
"""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ml_secrets", "tests.fuzz"]):
    from tests.fuzz.parsers import PARSERS
    from tests.fuzz.seeds import PIECES, seeds_of


def fuzz(name, seconds):
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder, "corpus"), Path(folder, "words")
        corpus.mkdir()
        for number, seed in enumerate(seeds_of(name)):
            (corpus / str(number)).write_bytes(seed)
        quoted = ["".join(f"\\x{byte:02x}" for byte in piece) for piece in PIECES if len(piece) < 60]
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        options = [
            f"-max_total_time={seconds}",
            f"-dict={words}",
            "-max_len=4096",
            "-timeout=10",
            "-verbosity=0",
        ]
        atheris.Setup([name, *options, "-print_final_stats=1", str(corpus)], PARSERS[name])
        atheris.Fuzz()


def main(seconds, names):
    for name in names:
        print(f"== {name}", flush=True)
        one = multiprocessing.get_context("fork").Process(
            target=fuzz, args=(name, max(1, seconds // len(names)))
        )
        one.start()
        one.join()
        if one.exitcode:
            print(f"{name} failed with status {one.exitcode}", file=sys.stderr)
            os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or list(PARSERS))
