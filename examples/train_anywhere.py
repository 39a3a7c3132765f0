"""Train a tumour classifier wherever it is started: in a shell, as task of a Slurm step, in a CI step, beside an init container.

Each credential is read from the file that NAME_FILE leads to, where somebody delivered one, else from the server. A job
that has files for all of them needs no ml-secrets at all. Tasks of one job train one model each, of a sweep over how
strongly large weights are held back.

    ml-secrets run --file DATABASE_URL_FILE=secret://secret/team-vision/training#DATABASE_URL -- python train_anywhere.py
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

SECRET = "team-vision/training"
STRENGTHS = (0.0, 0.001, 0.01, 0.1)


def credential(field: str) -> str:
    """The value as it is now: delivered files follow rotation, and so does `get_secret`."""
    delivered = os.environ.get(f"{field}_FILE")
    if delivered:
        return Path(delivered).read_text()
    from ml_secrets import get_secret, redaction  # noqa: PLC0415 - not needed where everything is delivered

    redaction.install()  # what is asked for here is known here only, so this process keeps it out of what it prints
    return get_secret(SECRET)[field].reveal()


def load_samples() -> tuple[np.ndarray, np.ndarray]:
    """Standardised features and labels, from the team's database."""
    with sqlite3.connect(credential("DATABASE_URL"), uri=True) as database:
        rows = np.array(database.execute("SELECT * FROM samples").fetchall(), dtype=float)
    features, labels = rows[:, :-1], rows[:, -1]
    return (features - features.mean(axis=0)) / features.std(axis=0), labels


def report(task: int, epoch: int, accuracy: float) -> None:
    """Send a metric to the experiment tracker."""
    request = urllib.request.Request(
        f"{credential('TRACKING_URL')}/metrics",
        data=json.dumps({"task": task, "epoch": epoch, "accuracy": accuracy}).encode(),
        headers={"Authorization": f"Bearer {credential('TRACKING_API_KEY')}"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def number_of_task() -> int:
    """Which of the job's tasks this is."""
    names = ("RANK", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID")
    return next((int(os.environ[name]) for name in names if name in os.environ), 0)


def main() -> None:
    """Train, and report the accuracy after each epoch."""
    options = argparse.ArgumentParser(description="Train a tumour classifier.")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument("--pause", type=float, default=0.0, help="seconds between epochs")
    options.add_argument(
        "--careless", action="store_true", help="print credentials, as forgotten debug lines do"
    )
    chosen = options.parse_args()

    task = number_of_task()
    features, labels = load_samples()
    if chosen.careless:
        print(f"task {task}: connected to {credential('DATABASE_URL')}", flush=True)
        print(f"task {task}: {credential('TRACKING_API_KEY')!r}", file=sys.stderr, flush=True)
    held_out = np.arange(len(labels)) % 4 == 0
    train_x, train_y, test_x, test_y = (
        features[~held_out],
        labels[~held_out],
        features[held_out],
        labels[held_out],
    )
    weights = np.zeros(features.shape[1])
    for epoch in range(1, chosen.epochs + 1):
        guesses = 1 / (1 + np.exp(-train_x @ weights))
        weights -= 0.5 * (train_x.T @ (guesses - train_y) / len(train_y) + STRENGTHS[task % 4] * weights)
        accuracy = float(np.mean((test_x @ weights > 0) == test_y))
        report(task, epoch, accuracy)
        time.sleep(chosen.pause)
    print(f"task {task}: accuracy {accuracy:.3f} on {len(test_y)} held-out samples", flush=True)


if __name__ == "__main__":
    main()
