"""`ml-secrets webhook`: the admission webhook, which has pods of a Kubernetes cluster given their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_secrets.cli import output
from ml_secrets.cli.arguments import file_text
from ml_secrets.cli.command import Noun
from ml_secrets.cli.declaring import at_fault
from ml_secrets.cli.failures import LocalError
from ml_secrets.cli.log import log_of
from ml_secrets.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml_secrets.integrations.kubernetes.settings import Settings


def _file(name: str, help_: str) -> Callable[..., Any]:
    return click.option(name, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help=help_)


_CONFIG = _file("--config", "Its configuration, in TOML; flags come on top of it.")
_IMAGE = click.option("--image", metavar="IMAGE", help="The image of what is injected: this program's.")


@click.group(
    "webhook",
    cls=Noun,
    example="ml-secrets webhook check --config webhook.toml pod.json\nml-secrets webhook run --config webhook.toml",
)
def webhook() -> None:
    """Have pods of a Kubernetes cluster given their secrets, by their annotations."""


@webhook.verb(
    "run",
    example="ml-secrets webhook run --address https://secrets.example.org:8200 --image registry.example.org/ml-secrets:0.1.0 --tls-cert tls.crt --tls-key tls.key",
)
@_CONFIG
@_IMAGE
@click.option("--listen", metavar="HOST:PORT", help="Where to listen. Default: 0.0.0.0:8443.")
@_file("--tls-cert", "Its certificate, read anew when it was renewed. Needed.")
@_file("--tls-key", "The certificate's key. Needed.")
@_file("--client-ca", "Answer only who shows a certificate by this authority: the API server.")
@session
def run(
    run: Session,
    config: Path | None,
    image: str | None,
    listen: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
) -> None:
    """Serve the mutating admission webhook until it is told to stop.

    POST /mutate takes an AdmissionReview, GET /healthz is for probes. --address is the server that the pods will find their secrets at.
    """
    from ml_secrets.integrations.kubernetes.serve import serve  # noqa: PLC0415 - help loads no webhook

    flags = {"listen": listen, "cert": tls_cert, "key": tls_key, "client_ca": client_ca}
    with at_fault():
        serve(_load(run, config, image, **flags), log_of("webhook"))


@webhook.verb("check", example="ml-secrets webhook check --config webhook.toml pod.json --format json")
@_CONFIG
@_IMAGE
@click.argument("pod", required=False)
@session
def check(run: Session, config: Path | None, image: str | None, pod: str | None) -> int:
    """Check a configuration and, by it, a pod or a workload in JSON or YAML (- is stdin): show what it would be given, as a JSON patch.

    Exit code: 0 it would be let through, 2 it would be refused. Asks no server.
    """
    from ml_secrets.integrations.kubernetes import review  # noqa: PLC0415 - as above

    with at_fault():
        settings = _load(run, config, image)
        if pod is None:
            run.done("The configuration is fine")
            return output.OK
        found = review.Request(
            uid="check", kind=review.Kind(version="v1", kind="Pod"), operation="CREATE", object=_pod(pod)
        )
        decided = review.decide(found, settings)
    for note in decided.notes:
        run.note(f"warning: {note}")
    if decided.refused:
        run.note(f"refused: {decided.refused}")
        return output.SERVER
    steps = decided.patch or []
    run.show(steps, output.as_json(steps) if steps else "The pod asks for nothing, or has it already")
    return output.OK


@webhook.verb(
    "manifest",
    example="ml-secrets webhook manifest --ca ca.crt | kubectl apply -f -\nml-secrets webhook manifest --ca ca.crt --format yaml",
)
@click.option(
    "--service",
    default="ml-secrets-webhook",
    show_default=True,
    metavar="NAME",
    help="The webhook's Service.",
)
@click.option(
    "--in", "namespace", default="ml-secrets", show_default=True, metavar="NAMESPACE", help="Where that is."
)
@click.option(
    "--timeout",
    "seconds",
    type=click.IntRange(1, 30),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How long the cluster waits for an answer.",
)
@_file("--ca", "What signed the webhook's certificate. Left out where cert-manager fills it in.")
@session
def manifest(run: Session, service: str, namespace: str, seconds: int, ca: Path | None) -> None:
    """Print the MutatingWebhookConfiguration that has a cluster ask the webhook. kubectl takes it as it is."""
    from ml_secrets.integrations.kubernetes.manifest import configuration  # noqa: PLC0415 - as above

    with at_fault():
        authority = b"" if ca is None else file_text(str(ca)).encode()
        found = configuration(service, namespace, authority, seconds)
    run.show(found, output.as_json(found))


def _load(run: Session, config: Path | None, image: str | None, **flags: Any) -> Settings:
    from ml_secrets.cli.connection import named_address  # noqa: PLC0415 - as above
    from ml_secrets.integrations.kubernetes.settings import load  # noqa: PLC0415 - as above

    more = {"address": run.address, "namespace": run.namespace, "image": image}
    return load(config, more | flags, address=named_address(run))


def _pod(name: str) -> dict[str, Any]:
    """The pod in a file: itself, or the template in a workload."""
    from ml_secrets.cli import terminal  # noqa: PLC0415 - help is quicker without

    found = _parsed(terminal.stdin_text() if name == "-" else file_text(name))
    kind = found.get("kind") if isinstance(found, dict) else None
    try:
        if kind == "CronJob":
            found = found["spec"]["jobTemplate"]
        pod = found if kind == "Pod" else found["spec"]["template"]
        return {"metadata": pod.get("metadata") or {}, "spec": pod["spec"]}
    except (KeyError, TypeError, AttributeError):
        raise LocalError(
            "there is no pod in it", hint="a Pod, or a workload with a template, such as a Job"
        ) from None


def _parsed(text: str) -> Any:
    """JSON, or YAML where PyYAML is there."""
    import msgspec  # noqa: PLC0415 - as above

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise LocalError(
            "this is no JSON, and YAML needs PyYAML", hint="pip install 'ml-secrets[yaml]'"
        ) from None
    try:
        found = [one for one in yaml.safe_load_all(text) if one is not None]
    except (yaml.YAMLError, ValueError, RecursionError):
        raise LocalError("this is neither JSON nor YAML") from None
    if len(found) > 1:
        raise LocalError("there are several documents in it", hint="give the one that has the pod")
    return found[0] if found else None
