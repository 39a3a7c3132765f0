"""Where the fuzzers begin: inputs that are good, and the pieces that make them bad."""

from pathlib import Path

from tests.fuzz import parsers

ROOT = Path(__file__).parents[2]
POLICIES = [
    b'path "secret/data/team-a/*" { capabilities = ["create", "update"] allowed_parameters = { "data" = [] } }',
    b'path "a" { policy = "write" } # old\npath "b/+/c" { capabilities = ["deny"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }',
    b'{"path": {"a/*": {"capabilities": ["read"]}, "b": {"policy": "read", "required_parameters": ["x"]}}}',
    b'path "x/{{identity.entity.id}}/*" { capabilities = ["list"] denied_parameters = { "y" = ["1", "2*"] } }',
]
JSONS = [
    b'{"a": 1, "b": [true, null, "\xc3\xa9", -1.5e-3], "c": {"d": {}}}',
    b'{"n": 12345678901234567890123, "u": "\\u00e9\\ud83d\\ude00\\n", "e": ""}',
    b"{}",
    b'{"data": {"value": "x"}, "options": {"cas": 0}}',
]
TOML = (ROOT / "deploy" / "server.toml").read_bytes() if (ROOT / "deploy" / "server.toml").exists() else b""
HCL = b"""storage "file" { path = "/tmp/x" }
listener "tcp" { address = "127.0.0.1:8200" tls_disable = true max_request_size = 1024 }
seal "keyfile" { path = "/tmp/key" }
default_lease_ttl = "1h"
max_lease_ttl = "768h"
ui = true
audit "file" { file_path = "/tmp/log" }
"""
SEEDS = {
    "paths": [b"secret/data/app", b"a/%C3%A9/b%20c/", b"sys/policies/acl/x", b"a/%252e/b", b"*/+/x"],
    "names": [b"team-a", b"root", b"Ada@example.org", b"a" * 64],
    "policies": POLICIES,
    "bodies": JSONS,
    "forms": [b"a=b&c=d%20e", b"list=true&after=x"],
    "values": JSONS,
    "stored_values": JSONS,
    "durations": [b"90", b"1h30m", b"1.5h", b"2d", b"250ms", b"1\xc2\xb5s", b"9223372036"],
    "addresses": [b"10.0.0.0/8", b"::1", b"2001:db8::/32", b"127.0.0.1", b"::ffff:10.0.0.1/104"],
    "header_pairs": [
        b"X-Vault-Token: x\nX-Vault-Wrap-TTL: 1m",
        b"authorization: Bearer abc\nx-vault-namespace: root\ncontent-type: application/json",
        b"X-Vault-Request: true\nContent-Encoding: identity\nCookie: a=b",
    ],
    "requests": [
        b"\x00secret/data/a\nversion=1\n\n",
        b'\x01secret/data/a\n\n\n{"data": {"a": "b"}, "options": {"cas": 0}}',
        b'\x03secret/data/a\n\ncontent-type: application/merge-patch+json\n{"data": {"a": null}}',
        b"\x05secret/metadata/\nafter=a&limit=2\n\n",
        b'\x01auth/token/create\n\nx-vault-wrap-ttl: 60\n{"ttl": "1h", "policies": ["p"], "num_uses": 3}',
        b'\x01sys/policies/acl/x\n\n\n{"policy": "path \\"a\\" { capabilities = [\\"read\\"] }"}',
        b'\x01sys/wrapping/wrap\n\nx-vault-wrap-ttl: 60\n{"a": "b"}',
        b'\x01sys/capabilities-self\n\n\n{"paths": ["secret/data/a"]}',
        b'\x01sys/quotas/rate-limit/q\n\n\n{"rate": 1000000, "path": "secret/"}',
        b'\x01sys/batch\n\n\n{"paths": ["secret/data/a"]}',
    ],
    "streams": [
        b"\x00GET /v1/a?b HTTP/1.1\r\nHost: x\r\nX-Vault-Token: t\r\n\r\nLIST /v1/b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x02POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}SCAN /v1/b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
        b"\x05PUT /v1/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x07POST /v1/a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\nGET http://x/v1/b HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"\x03POST /v1/a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET /v1/b HTTP/1.1\r\n\r\n",
    ],
    "configuration_toml": [
        TOML,
        b'[storage]\ntype = "sqlite"\npath = "/tmp/x"\n[[listener]]\ntype = "tcp"\naddress = "127.0.0.1:1"\ntls_disable = true\n',
        b'anchor_file = "/tmp/a"\nopen_to_shares = ["rekey"]\nlog_level = "info"\n[seal]\ntype = "keyfile"\npath = "/k"\n[storage]\ntype="inmem"\n',
    ],
    "configuration_hcl": [HCL],
    "configuration_json": [
        b'{"storage": {"file": {"path": "/tmp/x"}}, "listener": [{"tcp": {"address": ":1", "tls_disable": "true"}}], "max_lease_ttl": "10h"}'
    ],
    "imports_env": [b"A=1\nB='two words'\nexport C=\"x\\ny\"\n# no\n\nD=", b'K=a # b\nL="a\nb"\n'],
    "imports_json": [*JSONS, b'{"team/a": {"x": {"k": "v"}}, "b": {"k": {"n": 1, "s": "t"}}}'],
    "imports_yaml": [b"a:\n  b: 1\n  c: 2024-01-01\n  d: on\ne: 'x'\n", b"x: &a {k: v}\ny: *a\nz: [1, 2.5, null]\n", b'"k": |\n  text\n'],
    "references": [b"secret://m/p", b"m/p/q?version=12#a,b", b"m/my%20p#%C3%A9", b"m/\xc3\xa9#tls.crt"],
    "declarations": [
        b'[files]\nA_FILE = "secret://m/p#f"\n[files.B]\nvalues = { a = "secret://m/p", b = "x" }\nformat = "yaml"\nmode = "0440"\non-change = ["a", "b"]\n',
        b'[env]\nA = "x{{ secret://m/p }}"\n[stdin]\nvalue = "secret://m/p"\nformat = "dotenv"\n',
    ],
    "fills_env": [b"A=secret://m/p#f\n# no\nexport B = 'x{{ secret://m/p }}' # c\nC=${D}\nD=1", b'A="secret://m/p\t"\n\n'],
    "fills_json": [b'{"a": "secret://m/p#f", "b": [1.50, "x\\u007b{ secret://m/p }}", null], "secret://m/p": true}', b' "secret://m/p" '],
    "fills_yaml": [
        b"a: secret://m/p#f # c\nb: &x !!str 'secret://m/p'\nc: |\n  x {{ secret://m/p }}\nd: [secret://m/p, *x]\n",
        b'? secret://m/p\n: "secret://m/p"\n---\n- >-\n  {{ secret://m/p }}\n  y\n- k: {a: secret://m/p}\n',
    ],
}  # fmt: skip
POD = b'{"metadata":{"name":"a","annotations":{%s}},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"A","value":"b"}],"volumeMounts":[{"name":"v","mountPath":"/v"}],"securityContext":{"runAsUser":5}}],"initContainers":[{"name":"d","image":"i"}],"volumes":[{"name":"v","emptyDir":{}}]}}'
REVIEW = b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"kind":"Pod","version":"v1"},"operation":"CREATE","namespace":"n","object":%s}}'
SEEDS["reviews"] = [
    REVIEW % (POD % annotations)
    for annotations in (
        b'"ml-secrets.io/inject":"true","ml-secrets.io/secret-A_FILE":"secret://m/p#f","ml-secrets.io/first":"true"',
        b'"ml-secrets.io/inject":"init","ml-secrets.io/identity":"i","ml-secrets.io/secret-a":"x{{ secret://m/p }}","ml-secrets.io/mode-a":"0440"',
        b'"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/role":"r","vault.hashicorp.com/agent-inject-secret-a":"m/data/p"',
        b'"vault.hashicorp.com/agent-inject":"true","vault.hashicorp.com/auth-type":"approle","vault.hashicorp.com/auth-config-role-id":"r","vault.hashicorp.com/agent-inject-template-a":"{{ with secret \\"m/data/p\\" }}{{ .Data.data.f }}{{ end }}"',
    )
]
SEEDS["volumes"] = [
    b"- objectName: a\n  reference: secret://m/p#f\n  filePermission: 0400\n",
    b'- {objectName: b, secretPath: m/data/p, secretKey: f, filePermission: "0444"}\n- {objectName: c, reference: secret://m/p, format: dotenv}',
    b'{"objects": "- {objectName: a, secretPath: m/p}", "vaultNamespace": "n", "csi.storage.k8s.io/pod.name": "p"}',
]
PIECES = [
    b"ml-secrets.io/", b"vault.hashicorp.com/", b"objectName: ", b"secretPath: ", b"filePermission: ", b'"spec":', b'"annotations":',
    b"secret://", b"secret://m/p", b"{{ secret://m/p }}", b"{{", b"}}", b"?version=", b": ", b"- ", b"|\n", b"? ", b"export ",
    b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"/", b"//", b"..", b"%", b"%2f", b"%00", b"%ff", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbf\xbd",
    b"\xef\xbb\xbf", b"\r\n", b"\n", b" ", b"\t", b",", b":", b"=", b"#", b"/*", b"*/", b"<<", b"&a", b"*a", b"!!binary ", b"!!python/object/apply:os.system ",
    b"null", b"true", b"NaN", b"Infinity", b"1e999", b"-0", b"1" * 400, b"0x1", b"1_000", "\u0661".encode(), "\u202e".encode(), "e\u0301".encode(),
    b"\\u0000", b"\\ud800", b"${A}", b"{{x}}", b"[" * 2000, b'{"a":' * 500, b"(" * 200, b"root", b"path", b"policy", b"*", b"+", b"a" * 600, b"---\n",
    b"storage", b"listener", b"seal", b"audit", b'type = "', b'"seq":', b"1h", b"99999999999999999999h", b"-1",
    b"\r\n\r\n", b"LIST ", b"GET /x HTTP/1.1\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n", b"0\r\n\r\n",
]  # fmt: skip


def seeds_of(name):
    """Good inputs for a parser."""
    if name == "tokens":
        return parsers.real_tokens()
    if name == "backups":
        return [parsers.released_backup()[0]]
    if name == "audit_logs":
        log = max(parsers.STORES.glob("*/audit.log")).read_bytes().splitlines(keepends=True)
        return [b"".join(log[:6]), b"".join(log[-4:])]
    return [seed for seed in SEEDS[name] if seed]
