"""The training script as it was before ml-secrets: credentials in the code, so in git history, image layers and logs.

Compare with train.py. Nothing here is a real credential.
"""

from __future__ import annotations

import json
import urllib.request

import numpy as np
import sqlalchemy
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

DATABASE_URL = "postgresql://vision:example-password-in-the-code@db.example.com/samples"
TRACKING_URL = "https://tracker.example.com"
TRACKING_API_KEY = "example-key-in-the-code-that-never-expires"


def load_samples() -> tuple[np.ndarray, np.ndarray]:
    """Features and labels, from the team's database."""
    engine = sqlalchemy.create_engine(DATABASE_URL)
    with engine.connect() as connection:
        rows = np.array(connection.execute(sqlalchemy.text("SELECT * FROM samples")).all(), dtype=float)
    return rows[:, :-1], rows[:, -1].astype(int)


def report(epoch: int, accuracy: float) -> None:
    """Send a metric to the experiment tracker."""
    request = urllib.request.Request(
        f"{TRACKING_URL}/metrics",
        data=json.dumps({"epoch": epoch, "accuracy": accuracy}).encode(),
        headers={"Authorization": f"Bearer {TRACKING_API_KEY}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def main() -> None:
    """Train, and report the accuracy after each epoch."""
    features, labels = load_samples()
    train_x, test_x, train_y, test_y = train_test_split(
        features, labels, test_size=0.3, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(train_x)
    model = SGDClassifier(loss="log_loss", random_state=0)
    for epoch in range(1, 21):
        model.partial_fit(scaler.transform(train_x), train_y, classes=[0, 1])
        report(epoch, float(model.score(scaler.transform(test_x), test_y)))


if __name__ == "__main__":
    main()
