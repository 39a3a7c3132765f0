"""What becomes of a pod, by its annotations: recorded reviews in, patches applied as RFC 6902 has it."""

import copy

import jsonpatch
import msgspec
import pytest
from tests.unit.integrations.kubernetes.asked import recorded

from ml_secrets.agent.resident.template import Template
from ml_secrets.integrations.kubernetes import review
from ml_secrets.integrations.kubernetes.containers import TOKEN
from ml_secrets.integrations.kubernetes.settings import Settings

SETTINGS = Settings(
    address="https://secrets.example.org:8200",
    image="ours:1",
    identity="identity-{role}",
    cacert="-----BEGIN …",
)
OURS = {
    "ml-secrets.io/inject": "sidecar",
    "ml-secrets.io/identity": "train",
    "ml-secrets.io/secret-db": "secret://secret/team-a/db#password",
}
VAULT = {
    "agent-inject": "true",
    "auth-type": "approle",
    "auth-config-role-id": "role",
    "agent-inject-secret-db": "secret/data/team-a/db",
}
JOB, TWO = "pod-of-a-job", "pod-with-two-containers"


def theirs(**more):
    """Vault's annotations: VAULT and these, or without those that are None."""
    names = VAULT | {name.replace("_", "-"): text for name, text in more.items()}
    return {f"vault.hashicorp.com/{name}": text for name, text in names.items() if text is not None}


def decided(annotations, name=JOB, settings=SETTINGS, **spec):
    """What is decided of a recorded pod, and the pod as it is then."""
    asked = recorded(name, annotations, **spec)
    request = review.read(msgspec.json.encode(asked))
    found = review.decide(request, settings)
    pod = asked["request"]["object"]
    return found, pod if found.patch is None else jsonpatch.apply_patch(
        pod, msgspec.json.decode(msgspec.json.encode(found.patch))
    )


def refused(annotations, name=JOB, **spec):
    """Why a pod is refused."""
    found, _ = decided(annotations, name, **spec)
    assert found.refused, "it was let through"
    assert found.patch is None
    response = found.document()["response"]
    assert (response["allowed"], response["status"]["code"]) == (False, 422)
    return found.refused


def ours_in(pod):
    """The containers that were added."""
    return [
        one
        for kind in ("initContainers", "containers")
        for one in pod["spec"].get(kind, [])
        if one["image"] == "ours:1"
    ]


# ── what is left alone ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"example.org/inject": "true"},
        {"ml-secrets.io/inject": "false", "ml-secrets.io/secret-db": "secret://secret/a#b"},
        {"vault.hashicorp.com/agent-inject": "false", "vault.hashicorp.com/role": "x"},
        {"vault.hashicorp.com/role": "x"},
    ],
)
def test_a_pod_that_asks_for_nothing_is_left_as_it_is(annotations):
    """No patch, no word."""
    found, _ = decided(annotations)
    assert found.document()["response"] == {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True}


@pytest.mark.parametrize("annotations", [OURS, theirs(), OURS | {"ml-secrets.io/inject": "init"}])
def test_a_pod_that_was_injected_is_left_as_it_is(annotations):
    """Asked again, as reinvocationPolicy IfNeeded does, or with a pod that was read and made anew: no second container."""
    _, pod = decided(annotations)
    again = recorded(JOB, pod["metadata"]["annotations"], **pod["spec"])
    found = review.decide(review.read(msgspec.json.encode(again)), SETTINGS)
    assert (found.patch, found.refused) == (None, "")


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"kind": {"group": "example.org", "version": "v1", "kind": "Pod"}},
        {"subResource": "ephemeralcontainers"},
    ],
)
def test_what_is_no_new_pod_is_left_as_it_is(change):
    """Whatever its annotations say."""
    asked = recorded(JOB, OURS)
    asked["request"] |= change
    found = review.decide(review.read(msgspec.json.encode(asked)), SETTINGS)
    assert (found.patch, found.refused) == (None, "")


def test_nothing_of_the_pods_own_is_changed():
    """Taking away what was added gives the pod as it came, with names of its own that are like ours."""
    annotations = OURS | {
        "ml-secrets.io/user": "1000",
        "ml-secrets.io/first": "true",
        "ml-secrets.io/secret-KEY_FILE": "secret://secret/a#b",
    }
    before = recorded(TWO, annotations)["request"]["object"]
    found, pod = decided(annotations, TWO)
    assert {step["op"] for step in found.patch} == {"add"}
    spec = pod["spec"]
    assert len(ours_in(pod)) == 1
    names = [one["name"] for kind in ("initContainers", "containers") for one in spec[kind]]
    volumes = [one["name"] for one in spec["volumes"]]
    assert len(set(names)) == len(names)
    assert len(set(volumes)) == len(volumes)
    for kind in ("initContainers", "containers"):
        spec[kind] = [one for one in spec[kind] if one["image"] != "ours:1"]
    for one in [*spec["initContainers"], *spec["containers"]]:
        added = one["volumeMounts"].pop()
        assert (added["mountPath"], added["subPath"], added["readOnly"]) == ("/run/ml-secrets", "files", True)
        assert one["env"].pop() == {"name": "KEY_FILE", "value": "/run/ml-secrets/key"}
        for empty in [name for name in ("volumeMounts", "env") if not one[name]]:
            del one[empty]
    spec["volumes"] = spec["volumes"][:1]
    kept = set(annotations)
    pod["metadata"]["annotations"] = {
        name: text for name, text in pod["metadata"]["annotations"].items() if name in kept
    }
    assert pod == before


# ── what is added ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("annotations", [OURS, OURS | {"ml-secrets.io/inject": "init"}, theirs()])
def test_what_is_added_has_no_rights(annotations, native):
    """Not root, nothing writable but the volume, no privileges, no capabilities, and no token of the service account: what "restricted" asks for."""
    settings = Settings(address="https://s.example.org", image="ours:1", native=native)
    _, pod = decided(annotations, settings=settings)
    added = ours_in(pod)
    assert added
    for one in added:
        context = one["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 1234
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        writable = [mount["name"] for mount in one["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["ml-secrets-files"]
        assert [mount["name"] for mount in one["volumeMounts"] if mount["mountPath"] == TOKEN] == [
            "ml-secrets-files"
        ], "a cluster mounts the token wherever nothing is, into containers of webhooks as well"
    volume = next(one for one in pod["spec"]["volumes"] if one["name"] == "ml-secrets-files")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Mi"}


def test_the_identity_is_seen_by_our_containers_alone():
    """No container of the pod's own has the Secret, the configuration or the whole volume mounted."""
    _, pod = decided(OURS)
    theirs_ = [one for one in pod["spec"]["containers"] if one["image"] != "ours:1"]
    seen = {mount["name"] for one in theirs_ for mount in one["volumeMounts"]}
    assert seen == {"kube-api-access-x7k2p", "ml-secrets-files"}
    assert all(
        "subPath" in mount
        for one in theirs_
        for mount in one["volumeMounts"]
        if mount["name"] == "ml-secrets-files"
    )


def test_the_authority_of_the_server_goes_with_the_pod():
    """As an annotation that the downward API mounts: no object has to be in the pod's namespace for it."""
    _, pod = decided(OURS)
    assert pod["metadata"]["annotations"]["ml-secrets.io/ca.crt"] == "-----BEGIN …"
    (one,) = ours_in(pod)
    assert {"name": "ML_SECRETS_CACERT", "value": "/etc/ml-secrets/pod/ca.crt"} in one["env"]


def test_ours_may_come_first():
    """Then other init containers see the files, too; else it comes last, and they do not."""
    _, pod = decided(OURS | {"ml-secrets.io/user": "1000"}, TWO)
    assert [one["name"] for one in pod["spec"]["initContainers"]] == [
        "migrate",
        "ml-secrets-agent",
        "ml-secrets-agent-2",
    ]
    assert "volumeMounts" not in pod["spec"]["initContainers"][0]
    _, pod = decided(OURS | {"ml-secrets.io/user": "1000", "ml-secrets.io/first": "true"}, TWO)
    assert pod["spec"]["initContainers"][0]["name"] == "ml-secrets-agent-2"
    assert pod["spec"]["initContainers"][1]["volumeMounts"][0]["mountPath"] == "/run/ml-secrets"


def test_whose_the_files_are_is_what_the_pod_says():
    """The container's user over the pod's, an annotation over both; a pod that says nothing, or root, is told what it means."""
    found, pod = decided(OURS | {"ml-secrets.io/containers": "app"}, TWO)
    assert ours_in(pod)[0]["securityContext"]["runAsUser"] == 1000
    assert not found.notes
    assert "different users" in refused(OURS, TWO)
    for context in ({}, {"runAsUser": 0}):
        found, pod = decided(OURS, securityContext=context)
        assert ours_in(pod)[0]["securityContext"]["runAsUser"] == 65532
        assert "root reads them" in found.notes[0]
        assert found.document()["response"]["warnings"] == [f"ml-secrets: {found.notes[0]}"]
    _, pod = decided(OURS | {"ml-secrets.io/user": "77", "ml-secrets.io/group": "78"})
    context = ours_in(pod)[0]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (77, 78)


def test_amounts_are_the_webhooks_or_the_pods():
    """By resource."""
    amounts = {"limits-memory": "1Gi", "requests-cpu": "0.5"}
    _, pod = decided(OURS | {f"ml-secrets.io/{name}": text for name, text in amounts.items()})
    assert ours_in(pod)[0]["resources"] == {
        "requests": {"cpu": "0.5", "memory": "64Mi"},
        "limits": {"memory": "1Gi"},
    }
    amounts = {"limits-cpu": "1", "requests-memory": "32Mi"}
    _, pod = decided(OURS | {f"ml-secrets.io/{name}": text for name, text in amounts.items()})
    assert ours_in(pod)[0]["resources"] == {
        "requests": {"cpu": "10m", "memory": "32Mi"},
        "limits": {"memory": "256Mi", "cpu": "1"},
    }
    _, pod = decided(theirs(agent_limits_mem="99Mi", agent_requests_cpu="7m"))
    assert ours_in(pod)[0]["resources"] == {
        "requests": {"cpu": "7m", "memory": "64Mi"},
        "limits": {"memory": "99Mi"},
    }


def test_an_agents_text_says_what_the_annotations_say():
    """A command for the shell, the token, the proxy; templates that our own engine takes."""
    annotations = OURS | {
        "ml-secrets.io/command-db": "pkill -HUP nginx",
        "ml-secrets.io/token-file": "token",
        "ml-secrets.io/proxy-port": "8200",
        "ml-secrets.io/share-processes": "true",
        "ml-secrets.io/namespace": "team-a",
        "ml-secrets.io/template-odd": "\x7f\"'\\ {{ 'ü' }}\n",
    }
    _, pod = decided(annotations)
    assert pod["spec"]["shareProcessNamespace"] is True
    (one,) = ours_in(pod)
    assert {"name": "ML_SECRETS_NAMESPACE", "value": "team-a"} in one["env"]
    import tomllib

    text = tomllib.loads(pod["metadata"]["annotations"]["ml-secrets.io/agent.toml"])
    assert text["login"] == {
        "method": "approle",
        "role-id-file": "/etc/ml-secrets/identity/role-id",
        "secret-id-file": "/etc/ml-secrets/identity/secret-id",
    }
    db, odd = text["template"]
    assert db["on-change"] == ["sh", "-c", "pkill -HUP nginx"]
    assert db["contents"] == '{{ secret("secret://secret/team-a/db#password") }}'
    assert odd["contents"] == annotations["ml-secrets.io/template-odd"]
    assert Template(db["contents"], "db").constant
    assert text["sink"] == [{"path": "/run/ml-secrets/files/token"}]
    assert text["listener"][0] == {"tcp": "127.0.0.1:8200"}


@pytest.mark.parametrize(
    ("method", "more", "login"),
    [
        ("token", {}, {"token-file": "/etc/ml-secrets/identity/token"}),
        (
            "userpass",
            {"username": "ada"},
            {"username": "ada", "password-file": "/etc/ml-secrets/identity/password"},
        ),
        (
            "approle",
            {"auth-path": "auth/roles/"},
            {
                "mount": "roles",
                "role-id-file": "/etc/ml-secrets/identity/role-id",
                "secret-id-file": "/etc/ml-secrets/identity/secret-id",
            },
        ),
    ],
)
def test_each_login_method_reads_the_pods_secret(method, more, login):
    """With the keys that the table in logins.py names."""
    import tomllib

    annotations = (
        OURS
        | {"ml-secrets.io/login": method}
        | {f"ml-secrets.io/{name}": text for name, text in more.items()}
    )
    _, pod = decided(annotations)
    text = tomllib.loads(pod["metadata"]["annotations"]["ml-secrets.io/agent.toml"])
    assert text["login"] == {"method": method, **login}


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"inject": "yes"}, "ml-secrets.io/inject"),
        ({"inject": None}, "ml-secrets.io/inject"),
        ({"secert-db": "x"}, "no annotation ml-secrets.io/secert-db"),
        ({"secret-db": None}, "nothing is asked for"),
        ({"secret-db": "fake-value"}, "ml-secrets.io/secret-db: there is no reference"),
        ({"secret-db": "secret://secret/a b"}, "ml-secrets.io/secret-db"),
        ({"template-x": "{{ secret( }}"}, "ml-secrets.io/template-x, line 1"),
        ({"template-db": "x"}, "two files are to be named db"),
        ({"template-x": ""}, "ml-secrets.io/template-x is empty"),
        ({"secret-..": "secret://secret/a#b"}, "no name for one file"),
        ({"mode-db": "0444"}, "ml-secrets.io/mode-db"),
        ({"mode-other": "0400"}, "ml-secrets.io/mode-other: no secret"),
        ({"command-db": "x", "inject": "init"}, "need a container that stays"),
        ({"path": "run/x"}, "ml-secrets.io/path"),
        ({"path": "/run/../x"}, "ml-secrets.io/path"),
        ({"path": "/var/run/secrets/kubernetes.io/serviceaccount"}, "something else mounted"),
        ({"containers": "train,other"}, "no container 'other'"),
        ({"first": "perhaps"}, "ml-secrets.io/first"),
        ({"user": "0"}, "ml-secrets.io/user"),
        ({"user": "-1"}, "ml-secrets.io/user"),
        ({"identity": "A/b"}, "ml-secrets.io/identity"),
        ({"login": "kubernetes"}, "no login method of that name"),
        ({"login": "userpass"}, "a username goes with userpass"),
        ({"proxy-port": "80"}, "ml-secrets.io/proxy-port"),
        ({"limits-memory": "much"}, "ml-secrets.io/limits-memory"),
    ],
)
def test_ours_that_cannot_be_done_is_refused_by_name(more, says):
    """The pod does not start without what it asks for; what stands there is not shown."""
    annotations = OURS | {f"ml-secrets.io/{name}": text for name, text in more.items()}
    found = refused({name: text for name, text in annotations.items() if text is not None})
    assert says in found
    assert "fake-value" not in found


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"agent_inject": "maybe"}, "agent-inject is neither"),
        ({"agent_inject_secrt_x": "y"}, "no annotation vault.hashicorp.com/agent-inject-secrt-x"),
        ({"tls_skip_verify": "true"}, "tls-skip-verify: a server whose certificate"),
        ({"agent_set_security_context": "false"}, "agent-set-security-context"),
        ({"agent_revoke_on_shutdown": "true"}, "agent-revoke-on-shutdown"),
        ({"agent_enable_quit": "true"}, "agent-enable-quit"),
        ({"agent_image": "other:1"}, "agent-image"),
        ({"agent_json_patch": "[]"}, "agent-json-patch"),
        ({"agent_copy_volume_mounts": "train"}, "agent-copy-volume-mounts"),
        ({"agent_service_account_token_volume_name": "x"}, "service account is not here yet"),
        ({"agent_inject_template_file_db": "/x"}, "agent-inject-template-file-db"),
        ({"secret_volume_path_db": "/x"}, "secret-volume-path-db"),
        ({"service": "https://other.example.org"}, "service: where the server is"),
        ({"auth_type": "kubernetes"}, "auth-type"),
        ({"auth_type": "kubernetes", "auth_config_role_id": None}, "the login kubernetes is not here yet"),
        ({"auth_type": None, "auth_config_role_id": None}, "role is missing"),
        ({"auth_type": "aws"}, "auth-type"),
        ({"role": "train"}, "role: approle has its role in role-id"),
        ({"auth_config_role_id": None}, "auth-config-role-id"),
        ({"auth_config_secret_id_file_path": "/etc/passwd"}, "names no file of the Secret"),
        ({"auth_config_mystery": "x"}, "auth-config-mystery"),
        ({"agent_inject_template_db": "{{ plugin }}"}, "agent-inject-template-db"),
        ({"agent_inject_template_db": ""}, "agent-inject-template-db is empty"),
        (
            {"preserve_secret_case_other": "true"},
            "no annotation vault.hashicorp.com/preserve-secret-case-other",
        ),
        ({"agent_inject_perms_db": "rw"}, "agent-inject-perms-db"),
        ({"agent_inject_perms_other": "0400"}, "agent-inject-perms-other: no secret"),
        ({"agent_inject_command_db": "x", "agent_pre_populate_only": "true"}, "need a container that stays"),
        ({"agent_inject_default_template": "xml"}, "agent-inject-default-template"),
        (
            {"agent_cache_enable": "true", "agent_cache_use_auto_auth_token": "force"},
            "agent-cache-use-auto-auth-token",
        ),
        ({"agent_run_as_user": "0"}, "agent-run-as-user"),
        ({"agent_configmap": "x"}, "agent-configmap says all"),
        ({"template_static_secret_render_interval": "often"}, "poll is not a duration"),
    ],
)
def test_vaults_that_cannot_be_done_is_refused_by_name(more, says):
    """None is passed over in silence."""
    assert says in refused(theirs(**more))


def test_vaults_that_mean_less_are_told_of():
    """As warnings: what is left out, and what is taken for something stricter."""
    more = {
        "agent_pre_populate": "false",
        "agent_inject_perms_db": "0644",
        "log_level": "debug",
        "tls_skip_verify": "false",
        "agent_run_as_same_user": "true",
    }
    found, _ = decided(theirs(**more))
    assert not found.refused
    told = "\n".join(found.notes)
    assert "agent-pre-populate: the pod waits" in told
    assert "agent-inject-perms-db: 0644 is taken for 0640" in told
    assert "log-level is left out" in told
    assert len(found.notes) == 3


def test_vaults_that_are_done():
    """Cache, token, folders, TLS, process namespace, delimiters, the extra Secret."""
    import tomllib

    found, pod = decided(
        theirs(
            agent_cache_enable="true",
            agent_cache_listener_port="8299",
            agent_inject_token="true",
            secret_volume_path="/app/secrets",
            agent_share_process_namespace="true",
            agent_extra_secret="extra",
            tls_secret="server-ca",
            ca_cert="/vault/tls/ca.crt",
            namespace="team-a",
            auth_path="auth/roles",
            auth_config_role_id=None,
            auth_config_role_id_file_path="/vault/custom/role",
            auth_config_secret_id_file_path="/vault/custom/secret",
            agent_template_left_delim="[[",
            agent_template_right_delim="]]",
            agent_inject_template_db='[[ with secret "secret/data/a" ]][[ .Data.data.b ]][[ end ]]',
            template_static_secret_render_interval="30s",
            agent_auto_auth_exit_on_err="true",
            agent_inject_command_db="true",
        )
    )
    assert not found.refused
    text = tomllib.loads(pod["metadata"]["annotations"]["ml-secrets.io/agent.toml"])
    assert text["poll"] == "30s"
    assert text["login"] == {
        "method": "approle",
        "mount": "roles",
        "role-id-file": "/vault/custom/role",
        "secret-id-file": "/vault/custom/secret",
        "once": True,
    }
    assert text["template"][0]["contents"] == '{% with it_1 = secret("secret/a") %}{{ it_1.b }}{% endwith %}'
    assert text["listener"][0] == {"tcp": "127.0.0.1:8299"}
    (one,) = ours_in(pod)
    assert {"/vault/custom", "/vault/tls"} <= {mount["mountPath"] for mount in one["volumeMounts"]}
    assert {"name": "ML_SECRETS_CACERT", "value": "/vault/tls/ca.crt"} in one["env"]
    assert pod["spec"]["containers"][0]["volumeMounts"][-1]["mountPath"] == "/app/secrets"
    assert pod["metadata"]["annotations"]["vault.hashicorp.com/agent-inject-status"] == "injected"


def test_vaults_files_are_named_and_filled_as_it_does():
    """In lower case unless their own is kept, for all or for one; a secret without a template as lines, or as JSON."""
    import tomllib

    for more, names in (
        ({}, ["db", "key.pem"]),
        ({"preserve_secret_case": "true"}, ["db", "Key.PEM"]),
        ({"preserve_secret_case_Key.PEM": "1"}, ["db", "Key.PEM"]),
        ({"preserve_secret_case": "true", "preserve_secret_case_Key.PEM": "false"}, ["db", "key.pem"]),
        ({"agent_inject_file_Key.PEM": "own"}, ["db", "own"]),
    ):
        annotations = theirs(**{"agent_inject_secret_Key.PEM": "secret/data/a"}, **more)
        _, pod = decided(annotations | {"vault.hashicorp.com/agent-inject-default-template": "json"})
        text = tomllib.loads(pod["metadata"]["annotations"]["ml-secrets.io/agent.toml"])
        assert [one["path"].rpartition("/")[2] for one in text["template"]] == names
        assert all("json(true)" in one["contents"] for one in text["template"])


def test_whose_vaults_files_are_and_who_sees_them():
    """Which containers, whose files, in what order; and what our container may have."""
    _, pod = decided(
        theirs(
            agent_inject_containers="app",
            agent_init_first="true",
            agent_run_as_user="77",
            agent_run_as_group="78",
            agent_pre_populate_only="true",
            agent_limits_cpu="1",
            agent_limits_ephemeral="1Gi",
            agent_requests_mem="9Mi",
            client_cert="/vault/tls/tls.crt",
            client_key="/vault/tls/tls.key",
            tls_secret="ours",
        ),
        TWO,
    )
    one = pod["spec"]["initContainers"][0]
    assert (one["image"], "--once" in one["args"]) == ("ours:1", True)
    assert len(ours_in(pod)) == 1
    assert (one["securityContext"]["runAsUser"], one["securityContext"]["runAsGroup"]) == (77, 78)
    assert one["resources"] == {
        "requests": {"cpu": "10m", "memory": "9Mi"},
        "limits": {"cpu": "1", "memory": "256Mi", "ephemeral-storage": "1Gi"},
    }
    for name, path in (("CERT", "tls.crt"), ("KEY", "tls.key")):
        assert {"name": f"ML_SECRETS_CLIENT_{name}", "value": f"/vault/tls/{path}"} in one["env"]
    seeing = [
        other["name"]
        for other in pod["spec"]["containers"]
        if any(mount["mountPath"] == "/vault/secrets" for mount in other.get("volumeMounts", []))
    ]
    assert seeing == ["app"]


def test_a_folder_of_the_pods_own_choice():
    """Its containers see the files there, and their variables say so."""
    _, pod = decided(
        OURS | {"ml-secrets.io/path": "/app/secrets", "ml-secrets.io/secret-KEY_FILE": "secret://secret/a#b"}
    )
    (one,) = [one for one in pod["spec"]["containers"] if one["image"] != "ours:1"]
    assert one["volumeMounts"][-1]["mountPath"] == "/app/secrets"
    assert {"name": "KEY_FILE", "value": "/app/secrets/key"} in one["env"]


def test_a_role_names_a_secret_only_where_the_webhook_says_so():
    """{role} in its configuration; with one Secret for all, a pod that names a role is refused: it would be somebody else."""
    annotations = theirs(auth_type=None, auth_config_role_id=None, role="train")
    _, pod = decided(annotations)
    assert {
        "name": "ml-secrets-identity",
        "secret": {"secretName": "identity-train", "defaultMode": 292},
    } in pod["spec"]["volumes"]
    fixed = Settings(address="https://s.example.org", image="ours:1", identity="all")
    found, _ = decided(annotations, settings=fixed)
    assert "does not say which Secret a role has" in found.refused
    found, _ = decided(annotations, settings=Settings(address="https://s.example.org", image="ours:1"))
    assert "the login kubernetes is not here yet" in found.refused


@pytest.mark.parametrize(
    ("spec", "more", "says"),
    [
        ({"os": {"name": "windows"}}, {}, "another system than Linux"),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, {}, "another system than Linux"),
        ({"shareProcessNamespace": False}, {"ml-secrets.io/share-processes": "true"}, "share no processes"),
        ({"hostNetwork": True}, {"ml-secrets.io/proxy-port": "8200"}, "the whole node's"),
    ],
)
def test_pods_that_cannot_have_it(spec, more, says):
    """By what they are."""
    assert says in refused(OURS | more, **spec)


def test_a_secret_for_roles_is_no_secret_of_ours():
    """Where the webhook names a Secret for each role, a pod of ours has to say which one is its own."""
    assert "which Secret the pod logs in by" in refused(
        {name: text for name, text in OURS.items() if not name.endswith("identity")}
    )


def test_two_dialects_at_once_are_refused():
    """Nobody would know which one was meant."""
    assert "by our annotations and by Vault's" in refused(OURS | theirs())


def test_a_variable_that_is_taken_is_refused():
    """Nothing of the pod's own is overwritten."""
    annotations = OURS | {
        "ml-secrets.io/secret-PORT": "secret://secret/a#b",
        "ml-secrets.io/containers": "app",
    }
    assert "has a variable PORT already" in refused(annotations, TWO)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": None},
        {"metadata": None},
        {"metadata": {"annotations": OURS}, "spec": {}},
        {"metadata": {"annotations": OURS}, "spec": {"containers": "none"}},
        {"metadata": {"annotations": OURS}, "spec": {"containers": [{"image": "x"}]}},
        {"metadata": {"annotations": {**OURS, "ml-secrets.io/first": 1}}, "spec": {"containers": []}},
    ],
)
def test_a_pod_that_is_none_is_refused(change):
    """It fails closed, and in words: an API server never sends such a one."""
    asked = recorded(JOB, OURS)
    asked["request"]["object"] = copy.deepcopy(asked["request"]["object"]) | change
    found = review.decide(review.read(msgspec.json.encode(asked)), SETTINGS)
    assert found.refused
    assert found.patch is None


def test_more_than_a_cluster_takes_is_not_read():
    """A cluster looks at lengths and names only once it has asked: what is longer is refused, and neither answer nor log grows with it."""
    text = "x" * (256 << 10)
    for name in ("template-x", f"template-{text}"):
        found = refused(OURS | {f"ml-secrets.io/{name}": text})
        assert "longer than 256 KiB together" in found
    asked = recorded(JOB, OURS | {f"ml-secrets.io/{text[:100_000]}": "x"})
    asked["request"]["object"]["metadata"]["name"] = text
    found = review.decide(review.read(msgspec.json.encode(asked)), SETTINGS)
    assert len(found.refused) + len(found.line) < 4000


def test_what_nobody_thought_of_is_refused():
    """By the kind of the error alone: what it says may be the pod's."""

    class Odd(dict):
        def items(self):
            raise LookupError("fake-value")

    asked = review.read(msgspec.json.encode(recorded(JOB, OURS)))
    asked.object["metadata"]["annotations"] = Odd(OURS)
    found = review.decide(asked, SETTINGS)
    assert found.refused == "the pod is not one that can be read (LookupError)"


def test_an_annotation_without_quotes_is_told_of():
    """`inject: true` in YAML is no text: whoever checks a pod hears what to write."""
    assert refused(OURS | {"ml-secrets.io/inject": True}) == (
        'the annotation ml-secrets.io/inject is no text (put it in quotes: "true")'
    )
