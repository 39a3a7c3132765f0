"""What the holes of scenes/*.txt are filled with: good words, and odd ones that one reader may take and another refuse.

A word is the text that stands in the request: JSON in bodies, percent-encoded text in paths and headers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

_TTLS: Final = ('"1h"', "60", '"90"', '"1h30m"', "0", '"0s"', '""', '"20m"')
_ODD_TTLS: Final = (
    '"-1h"',
    "-5",
    '"1w"',
    '"nonsense"',
    "1.5",
    '"1.5h"',
    '"1d"',
    '"9999h"',
    '" 60"',
    "null",
    "true",
    "[]",
    "1e3",
)
_COUNTS: Final = ("0", "1", "2", "5", '"3"')
_ODD_COUNTS: Final = (
    "-1",
    '"abc"',
    "1.5",
    "true",
    "null",
    "[]",
    '"0x10"',
    "1e2",
    "9999999999",
    "18446744073709551616",
)
_NAMES: Final = ('["default"]', '["default","generated-a"]', '["generated-a"]', '"default,generated-a"', "[]")

WORDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # in paths
    "key": (("a", "b", "dir/c", "dir/d/e"), ("A", "a%20b", "%C3%A9", "a%25b", "dir", ".hidden", "a;b", "a+b", "*", "x" * 300, "a~b", "%F0%9F%94%91")),
    "folder": (("", "dir", "dir/", "dir/d"), ("a", "nothing", "di", "dir/c", "Dir")),
    "role": (("app", "app", "other"), ("APP", "a.b", "a-b_c", "a%20b", "%C3%A9", "nothing", "x" * 200)),
    "ttl_part": (("token-ttl", "token-max-ttl", "secret-id-ttl", "period"), ("bind-secret-id", "nothing")),
    "count_part": (("token-num-uses", "secret-id-num-uses"), ("nothing",)),
    "algorithm_part": (("sha2-256", "sha2-512"), ("sha3-256", "md5", "SHA2-256")),
    "place": (("mounts", "auth", "policies/acl/default", "nowhere", "leases", "audit"), ("", "policies/acl/root", "Mounts", "raw/x")),
    # in queries and headers
    "yes": (("true", "1"), ("false", "0", "", "TRUE", "yes", "t", "2")),
    "version": (("0", "1", "2"), ("3", "-1", "abc", "", "1.0", "+1", "01", "99999999999999999999")),
    "after": (("", "a", "dir"), ("zzz", "%C3%A9", "a/b", "..")),
    "limit": (("1", "2", "-1"), ("0", "abc", "", "-2", "1.5", "99999999999")),
    "wrap": (("60", "5m", "1h30m", "120s"), ("0", "-1", "abc", "1.5h", "1d", "1w", "9999999", "99999999999999999999", "%2060")),
    "code": (("200", "299"), ("abc", "99", "1000", "-1", "")),
    "media": (("application/json", "application/json;%20charset=utf-8", "text/plain"), ("*/*", "nonsense", "application/merge-patch%2Bjson")),
    "authorization": (("Bearer%20{one}", "Bearer%20{three}"), ("Bearer", "Bearer%20", "bearer%20{one}", "Basic%20YTpi", "{one}", "Bearer%20%20{one}", "Bearer%20{one}%20")),
    "namespace": (("", "root", "/"), ("nothing", "a/b", "root/")),
    "token": (("one", "two", "three"), ("none", "accessor")),
    # in bodies
    "object": (
        ('{"a":"1"}', '{"a":"1","b":{"c":[1,2.5,true,null]}}', '{"big":12345678901,"f":0.25,"u":"\u00fc\u20ac"}', '{"a":"<&>"}'),
        ("{}", "null", "[]", '"text"', "5", '{"":"x"}', '{"a":null}', '{"a":123456789012345678901234567890}', '{"a":1e5}', '{"a":1.0}', '{"a":-0}', '{"a":"\\ud83d\\udd11"}', '{"a":"\\u0000"}'),
    ),
    "value": (('"v"', "1", "true", '["x"]', '{"y":1}'), ("null", '""', "1.5e300")),
    "ttl": (_TTLS, _ODD_TTLS),
    "count": (_COUNTS, _ODD_COUNTS),
    "cas": (("0", "1", "2", "3"), ('"1"', "-1", "1.5", "null", "true", "[]", '"abc"', "18446744073709551616")),
    "flag": (("true", "false"), ('"true"', '"false"', "0", "1", '"yes"', "null", "[]", '"TRUE"')),
    "texts": (('{"a":"b"}', "{}", '{"owner":"team-a","k":"v"}'), ("null", '{"a":1}', '"a=b"', "[]", "5", '{"a":null}')),
    "texts_list": (('["a","b"]', '"a,b"', "[]"), ("5", "null", '{"a":"b"}', '["a",1]')),
    "metadata": (('"{\\"a\\":\\"b\\"}"', '""'), ('"nonsense"', '{"a":"b"}', '"[]"', '"{\\"a\\":1}"', "5")),
    "versions": (("[1]", "[1,2]", "[2]", '["1"]'), ("[]", "[0]", "[-1]", "[99]", '["a"]', "1", '"1,2"', "null", "[1.5]", "{}")),
    "policies": (_NAMES, ('["root"]', '["Default"]', '["response-wrapping"]', "5", "null", '[""]', '[" default "]', '["a b"]', "{}", "[1]")),
    "text": (('"text"', '"some words"', '"other"'), ('""', '" "', "5", "null", "[]", '"\u00e9"', '"a/b"', '"a\\nb"', "true", '"' + "x" * 600 + '"')),
    "kind": (('"service"', '"batch"', '"default"'), ('"default-service"', '"default-batch"', '"nonsense"', '""', "5", "null", '"Service"')),
    "cidrs": (('["127.0.0.1"]', '["127.0.0.0/8","10.0.0.0/8"]', '"127.0.0.1/32"', "[]"), ('["nonsense"]', '["127.0.0.1/99"]', '["::1"]', '["10.0.0.5/8"]', "5", "null", '[""]')),
    "known": (('"{one}"', '"{two}"', '"{three}"', '"{accessor}"'), ('"nonsense"', '""', "5", "null", "[]", '" {one}"')),
    "policy": (
        (
            json.dumps('path "secret/data/*" { capabilities = ["read"] }'),
            json.dumps('path "secret/+/x" { capabilities = ["list", "sudo"] }\npath "secret/data/a" { capabilities = ["deny"] }'),
            json.dumps('{"path":{"c":{"capabilities":["list"]}}}'),
            json.dumps('path "cubbyhole/*" { capabilities = ["create","read"] allowed_parameters = { "a" = ["1"] } }'),
        ),
        (
            '""', "5", "null", '"path"', json.dumps('path "a" {'), json.dumps('path "a" { capabilities = ["nonsense"] }'),
            json.dumps('path "a" { nonsense = 1 }'), json.dumps('path "a/+*" { capabilities = ["read"] }'), json.dumps("# nothing"),
            json.dumps('path "a" { capabilities = ["READ"] }'), '"cGF0aCAiZCIgeyBjYXBhYmlsaXRpZXMgPSBbInJlYWQiXSB9"',
        ),
    ),
    "engine": (('"kv"', '"kv-v2"'), ('"kv-v1"', '"nonsense"', '""', "5", "null", '"system"', '"userpass"', '"KV"')),
    "method": (('"userpass"', '"approle"'), ('"token"', '"nonsense"', '""', "5", '"kv"', '"Userpass"')),
    "options": (('{"version":"1"}', '{"version":"2"}', "null", "{}"), ('{"version":"3"}', '{"version":2}', '{"version":""}', '"x"', '{"more":"x"}')),
    "visibility": (('"unauth"', '"hidden"', '""'), ('"nonsense"', "5", "null", '"UNAUTH"')),
    "base64": (('"aGVsbG8="', '""'), ('"%%%"', '"aGVsbG8"', "5", "null", '"aGVs\\nbG8="')),
    "format": (('"hex"', '"base64"'), ('"nonsense"', '""', "5", "null", '"HEX"')),
    "algorithm": (('"sha2-256"', '"sha2-384"'), ('"md5"', '""', "5", '"sha3-512"')),
    "rate": (("1000", "1000.5", '"2000"'), ("-1", "0", '"abc"', "null", "true", "[]", "1e6")),
}  # fmt: skip


def word(dice: Random, hole: str, oddness: float) -> tuple[str, bool]:
    """A word for a hole, and whether it is an odd one."""
    good, odd = WORDS[hole]
    if odd and dice.random() < oddness:
        return dice.choice(odd), True
    return dice.choice(good), False
