"""Train a tumour classifier, with credentials that arrive just in time.

The job knows the name of its secret and nothing else: the database URL is fetched when the connection is made, and the
tracking key each time a metric is reported. `get_secret` caches, so the second is cheap, and it notices a rotation, so a
new key is in use within moments, without a restart. Who the job is comes from its environment (ML_SECRETS_ADDR and
ML_SECRETS_TOKEN, or VAULT_ADDR and VAULT_TOKEN).

    python train.py --epochs 20
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.request

import numpy as np
import sqlalchemy
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from ml_secrets import MlSecretsError, get_secret

SECRET = "team-vision/training"


def load_samples() -> tuple[np.ndarray, np.ndarray]:
    """Features (569 x 30) and labels of the Wisconsin breast cancer data, from the team's database."""
    engine = sqlalchemy.create_engine(get_secret(SECRET)["DATABASE_URL"].reveal())
    with engine.connect() as connection:
        rows = np.array(connection.execute(sqlalchemy.text("SELECT * FROM samples")).all(), dtype=float)
    return rows[:, :-1], rows[:, -1].astype(int)


def report(epoch: int, accuracy: float) -> int:
    """Send a metric to the experiment tracker; returns the version of the key that was used."""
    secret = get_secret(SECRET)
    request = urllib.request.Request(
        f"{secret['TRACKING_URL'].reveal()}/metrics",
        data=json.dumps({"epoch": epoch, "accuracy": accuracy}).encode(),
        headers={
            "Authorization": f"Bearer {secret['TRACKING_API_KEY'].reveal()}",
            "Content-Type": "application/json",
        },
    )
    urllib.request.urlopen(request, timeout=10).close()
    return secret.version


def main() -> None:
    """Train, and report the accuracy after each epoch."""
    options = argparse.ArgumentParser(description="Train a tumour classifier.")
    options.add_argument("--epochs", type=int, default=20)
    options.add_argument(
        "--pause", type=float, default=0.0, help="seconds between epochs, as a larger model would take"
    )
    chosen = options.parse_args()

    features, labels = load_samples()
    train_x, test_x, train_y, test_y = train_test_split(
        features, labels, test_size=0.3, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(train_x)
    model = SGDClassifier(loss="log_loss", random_state=0)
    for epoch in range(1, chosen.epochs + 1):
        model.partial_fit(scaler.transform(train_x), train_y, classes=[0, 1])
        accuracy = float(model.score(scaler.transform(test_x), test_y))
        version = report(epoch, accuracy)
        print(f"epoch {epoch}: accuracy {accuracy:.3f} (tracking key version {version})", flush=True)
        time.sleep(chosen.pause)
    print(f"done: accuracy {accuracy:.3f} on {len(test_y)} held-out samples", flush=True)


if __name__ == "__main__":
    try:
        main()
    except MlSecretsError as error:
        sys.exit(f"stopped: {error}")
