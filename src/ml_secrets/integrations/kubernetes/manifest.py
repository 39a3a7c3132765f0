"""How a cluster is told of the webhook: a MutatingWebhookConfiguration. Every pod that asks for secrets waits for its answer (failurePolicy: Fail)."""

from __future__ import annotations

import base64
from typing import Any, Final

from ml_secrets.errors import Invalid

_BEGINS: Final = b"-----BEGIN CERTIFICATE-----"
ASKING: Final = (
    "has(object.metadata.annotations) && object.metadata.annotations.exists(name, "
    "name.startsWith('ml-secrets.io/') || name == 'vault.hashicorp.com/agent-inject')"
)
"""In CEL: pods that ask for nothing are not sent at all, and start while no webhook is there."""


def configuration(service: str, namespace: str, authority: bytes, seconds: int) -> dict[str, Any]:
    """The object. `authority`: the certificate that the webhook's own is signed by; empty where another program fills it in."""
    if authority and _BEGINS not in authority:
        raise Invalid(
            "the authority is no certificate in PEM", hint="--ca FILE: the one that signed the webhook's"
        )
    client: dict[str, Any] = {
        "service": {"name": service, "namespace": namespace, "path": "/mutate", "port": 443}
    }
    if authority:
        client["caBundle"] = base64.b64encode(authority).decode("ascii")
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": service},
        "webhooks": [
            {
                "name": "pods.ml-secrets.io",
                "admissionReviewVersions": ["v1"],
                "clientConfig": client,
                "failurePolicy": "Fail",
                "matchConditions": [{"name": "asks-for-secrets", "expression": ASKING}],
                "matchPolicy": "Equivalent",
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "NotIn",
                            "values": ["kube-system", namespace],
                        }
                    ]
                },
                "reinvocationPolicy": "IfNeeded",
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
                "sideEffects": "None",
                "timeoutSeconds": seconds,
            }
        ],
    }
