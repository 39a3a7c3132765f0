"""What a cluster sends: reviews of pods, and the parameters of volumes."""

import json

from ml_secrets.errors import Invalid
from ml_secrets.integrations.kubernetes import csi_mount, review
from ml_secrets.integrations.kubernetes.settings import Settings

SETTINGS = [
    Settings(address="https://s.example.org", image="ours:1", identity=identity, native=native)
    for identity, native in (("shared", True), ("of-{role}", False))
]


def reviews(data):
    """A review is no review, or is answered: with additions alone, and containers of ours that have no rights; or with words."""
    try:
        request = review.read(data)
    except Invalid:
        return
    for settings in SETTINGS:
        decided = review.decide(request, settings)
        response = json.loads(json.dumps(decided.document()))["response"]
        assert response["allowed"] == (not decided.refused)
        assert not (decided.refused and decided.patch)
        added = [
            step["value"]
            for step in decided.patch or []
            if "ontainers" in step["path"] and "/volumeMounts" not in step["path"]
        ]
        assert all(step["op"] == "add" for step in decided.patch or [])
        for one in (one for value in added for one in (value if isinstance(value, list) else [value])):
            if one.get("image") == "ours:1":
                assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert one["securityContext"]["runAsUser"] > 0


def volumes(data):
    """Parameters are refused, or name files of one folder that somebody may read and nobody write; so with the list in them."""
    text = data.decode("utf-8", errors="replace")
    for attributes in (text, json.dumps({"objects": text})):
        try:
            asked = csi_mount.read(attributes)
        except Invalid:
            continue
        assert asked.objects
        for one in asked.objects:
            assert "/" not in one.name
            assert not one.name.startswith("..")
            assert one.mode & ~0o444 == 0
            assert one.content.references
