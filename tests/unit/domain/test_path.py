"""Paths and names have one spelling: acceptance matrix A 1-5, 9, 20."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_secrets.domain.path import (
    MOST_BYTES,
    canonical_path,
    policy_name,
    request_path,
    resource_name,
    user_name,
)
from ml_secrets.errors import Invalid


@pytest.mark.parametrize(
    ("raw", "path", "folder"),
    [
        (b"", "", False),
        (b"a", "a", False),
        (b"a/b", "a/b", False),
        (b"a/b/", "a/b", True),
        (b"secret/data/team-a/db_1.0", "secret/data/team-a/db_1.0", False),
        (b"sp%20ace", "sp ace", False),
        (b"sp ace", "sp ace", False),
        (b"caf%C3%A9", "caf\u00e9", False),
        ("caf\u00e9".encode(), "caf\u00e9", False),
        (b"%61%62", "ab", False),
        (b"wide%C2%A0space", "wide\u00a0space", False),
        (b"%61" * MOST_BYTES, "a" * MOST_BYTES, False),
        (b"%252e%252e/x", "%2e%2e/x", False),
        (b"a/*/+", "a/*/+", False),
        (b"...", "...", False),
        (b"..a/.b./c..", "..a/.b./c..", False),
        (b"a%25b", "a%b", False),
        (b"x" * MOST_BYTES, "x" * MOST_BYTES, False),
    ],
)
def test_a_path_is_decoded_exactly_once(raw, path, folder):
    """Escapes are resolved once; `*` and `+` are plain characters; a closing slash marks a folder."""
    assert request_path(raw) == (path, folder)


@pytest.mark.parametrize(
    "raw",
    [
        b"team-a/%2e%2e/team-b/x",
        b"..%2f",
        b"%2E%2e/",
        b"a/../b",
        b"a/..",
        b"..",
        b".",
        b"./a",
        b"a/.",
        b"a/./b",
        b"a//b",
        b"/a",
        b"/",
        b"//",
        b"a//",
        b"a%2fb",
        b"a%2Fb",
        b"%ff",
        b"%fe",
        b"%c0%ae%c0%ae",
        b"%zz",
        b"%",
        b"a%",
        b"a%4",
        b"%u0041",
        b"cafe%CC%81",
        b"a%00b",
        b"a\nb",
        b"a%0a",
        b"a%09",
        b"a%7f",
        b"%E2%80%8Broot",
        b"%E2%80%AEx",
        b"%EF%BB%BFx",
        b"%EF%BF%BD",
        b"%ED%A0%80",
        b"%E2%80%A8",
        b"%EE%80%80",
        b"x" * (MOST_BYTES + 1),
        b"%C3%A9" * 257,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw):
    """Dots, empty segments, encoded slashes, broken escapes, bad UTF-8, NFD, invisible characters, length: Invalid."""
    with pytest.raises(Invalid) as caught:
        request_path(raw)
    assert caught.value.message in {
        "relative paths not supported",
        "the path has an encoded slash",
        "the path has a broken percent escape",
        "the path is not UTF-8",
        "the path is not in Unicode normal form C",
        "the path has a control, format or unassigned character",
        "the path has the replacement character U+FFFD",
        "the path is too long",
    }


@given(st.one_of(st.binary(max_size=40), st.text(alphabet="ab./%25eEfF2*+ ", max_size=24).map(str.encode)))
def test_an_accepted_path_is_canonical(raw):
    """Whatever comes out has no relative segment, is normalised and printable, and survives a second reading."""
    try:
        path, folder = request_path(raw)
    except Invalid:
        return
    assert unicodedata.is_normalized("NFC", path)
    assert not any(unicodedata.category(c).startswith("C") for c in path)
    assert len((path + "/" * folder).encode()) <= MOST_BYTES
    if path:
        assert not {"", ".", ".."} & set(path.split("/"))
        assert request_path(quote(path + "/" * folder, safe="/").encode()) == (path, folder)
        assert canonical_path(path + "/" * folder) == (path, folder)


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20))
def test_the_fast_way_and_the_slow_way_agree(text):
    """Percent-encoding every byte changes neither the path nor the verdict."""
    text = unicodedata.normalize("NFC", text).replace("/", "-").replace("\ufffd", "-")
    escaped = "".join(f"%{byte:02x}" for byte in text.encode()).encode()
    plain = quote(text, safe="!$&'()*+,;=:@[]|\"<>^`{}\\").encode()
    verdicts = []
    for raw in (escaped, plain):
        try:
            verdicts.append(request_path(raw))
        except Invalid as error:
            verdicts.append(error.message)
    assert verdicts[0] == verdicts[1]


ROOT_LOOK_ALIKES = [
    "root",
    "ROOT",
    "Root",
    " root ",
    "root ",
    "Root\t",
    "ro\u200bot",
    "\ufeffroot",
    "\uff52\uff4f\uff4f\uff54",
    "r\u043eot",
    "root\n",
    "root\x00",
    "/root",
    "root/",
]


@pytest.mark.parametrize("text", ROOT_LOOK_ALIKES)
def test_no_spelling_of_root_is_a_policy_name(text):
    """Check 9: refused when written, not when used."""
    with pytest.raises(Invalid):
        policy_name(text)


@pytest.mark.parametrize("text", ROOT_LOOK_ALIKES[1:])
def test_only_the_plain_word_root_passes_where_root_may_be_given(text):
    """`root=True` opens no other spelling."""
    assert policy_name("root", root=True) == "root"
    with pytest.raises(Invalid):
        policy_name(text, root=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [("Team-A", "team-a"), ("a", "a"), ("0.b_c-d", "0.b_c-d"), ("rooted", "rooted"), ("x" * 64, "x" * 64)],
)
def test_names_are_folded_to_lower_case(text, name):
    """One spelling for each policy and resource."""
    assert policy_name(text) == name
    assert resource_name(text) == name


@pytest.mark.parametrize(
    "text", ["", "-a", ".a", "a b", "a/b", "x" * 65, "\u212aelvin", "caf\u00e9", "a*", "a+", "a,b", "{{x}}"]
)
def test_other_characters_make_no_name(text):
    """Only ASCII letters, digits and _.- make a name; no wildcard, comma, slash or template gets in."""
    for build in (policy_name, resource_name):
        with pytest.raises(Invalid) as caught:
            build(text)
        assert not text or len(text) < 3 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("build", "message", "hint"),
    [
        (
            policy_name,
            "invalid policy name",
            "a policy name has 1 to 64 of a-z, 0-9 and _.-, and begins with a letter or digit",
        ),
        (
            lambda text: resource_name(text, what="role"),
            "invalid role",
            "a role has 1 to 64 of a-z, 0-9 and _.-, and begins with a letter or digit",
        ),
        (
            user_name,
            "invalid user name",
            "a user name has 1 to 128 of a-z, 0-9 and _.-@+=, and begins with a letter or digit",
        ),
    ],
)
def test_a_refused_name_is_told_what_a_name_is(build, message, hint):
    """Its characters and its length."""
    with pytest.raises(Invalid) as refused:
        build("a b")
    assert (refused.value.message, refused.value.hint) == (message, hint)


def test_a_name_that_means_root_is_told_apart():
    """It is no wrong spelling."""
    with pytest.raises(Invalid, match="the root policy cannot be given here") as refused:
        policy_name("root")
    assert refused.value.hint.startswith("name the policies")


def test_a_user_name_may_be_a_mail_address():
    """Login names take @, + and =, and are folded as well."""
    assert user_name("Ada+ML@Example.com") == "ada+ml@example.com"
    for text in ("", "a b", "ada\u200b", "@x", "x" * 129, "a/b"):
        with pytest.raises(Invalid):
            user_name(text)


def test_a_path_from_elsewhere_has_the_same_longest_length():
    """A lease's or mount's path, too, is measured in bytes."""
    assert canonical_path("\u00e9" * 256) == ("\u00e9" * 256, False)
    with pytest.raises(Invalid, match="too long"):
        canonical_path("\u00e9" * 257)
