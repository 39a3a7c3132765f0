"""Templates: what they give, what they cannot reach, and a Vault agent's, converted."""

import json

import pytest

from ml_secrets.agent.gather import Value
from ml_secrets.agent.reference import Reference
from ml_secrets.agent.resident.go import converted
from ml_secrets.agent.resident.template import Template
from ml_secrets.errors import Conflict, Invalid, NotFound
from ml_secrets.sensitive import Sensitive

FIELDS = {
    "user": "app",
    "password": "p{{ 7*7 }}w",
    "port": 5432,
    "on": True,
    "none": None,
    "hosts": ["a", "b"],
    "keys": "not the method",
    "x-y": "dashed",
    "deep": {"er": "found"},
}


class Source:
    """Secrets in hand, without a server: `fetch` finds none that is not there."""

    def __init__(self, **secrets):
        self.there = {Reference(path): fields for path, fields in secrets.items()} | {
            Reference("team/db"): FIELDS
        }
        self.values = {}
        self.refused = {}
        self.asked = []

    def fetch(self, references):
        for one in references:
            self.asked.append(one)
            if one in self.there:
                text = Sensitive(json.dumps(self.there[one]))
                self.values[one] = Value(text, text, 1)
            else:
                self.refused[one] = NotFound(f"no {one}")


def filled(text, source=None):
    """What a template gives."""
    content, _ = Template(text, "test.j2").filled(source or Source())
    return content.reveal()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{{ secret("team/db").user }}', "app"),
        ('{{ secret("secret://team/db#user") }}', "app"),
        ('{{ secret("team/db", "user") }}', "app"),
        ('{{ secret("team/db").password }}', "p{{ 7*7 }}w"),
        (
            '{{ secret("team/db").port }} {{ secret("team/db").on }} {{ secret("team/db").none }}',
            "5432 true null",
        ),
        ('{{ secret("team/db").hosts }}', '["a","b"]'),
        ('{{ secret("team/db").keys }}', "not the method"),
        ('{{ secret("team/db")["x-y"] }}{{ secret("team/db").deep.er }}', "dashedfound"),
        (
            '{% with db = secret("team/db") %}{% for h in db.hosts %}{{ db.user }}@{{ h }};{% endfor %}{% endwith %}\n',
            "app@a;app@b;\n",
        ),
        ('{{ secret("secret://team/db#user,port") }}', '{"user":"app","port":5432}'),
        ('{{ secret("team/db").user|b64encode }}{{ "YXBw"|b64decode }}', "YXBwapp"),
        ('{{ secret("team/db").deep|yaml }}', "er: found\n"),
        ('{% for k, v in secret("team/db").deep|pairs %}{{ k }}={{ v }}{% endfor %}', "er=found"),
        ('{% set name = "team/" ~ "db" %}{{ secret(name).user }}', "app"),
        ("a < b & c", "a < b & c"),
    ],
)
def test_a_template_is_filled(text, found):
    """Texts as they are, all else as JSON; values are never templates themselves."""
    assert filled(text) == found


def test_all_constant_secrets_are_fetched_at_once():
    """And others when they are come upon."""
    source = Source(**{"team/other": {"x": "1"}})
    text = (
        '{{ secret("team/db").user }}{{ secret("team/other").x }}{% set n = "team/third" %}{{ secret(n).y }}'
    )
    template = Template(text, "t")
    assert template.references == {Reference("team/db"), Reference("team/other")}
    assert not template.constant
    with pytest.raises(NotFound):
        template.filled(source)
    assert set(source.asked[:2]) == template.references
    assert source.asked[2] == Reference("team/third")
    assert Template('{{ secret("team/db") }}', "t").constant


@pytest.mark.parametrize(
    "text",
    [
        '{{ secret("team/db").nothing }}',
        '{{ secret("team/db", "nothing") }}',
        "{{ nothing }}",
        '{{ secret("team/db").__class__ }}',
        "{{ secret.__self__ }}",
        "{{ secret.__func__.__globals__ }}",
        "{{ secret._source }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        '{{ secret("team/db").hosts.append("c") }}',
        '{{ secret("team/db").update({}) }}',
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{{ '%s'.__mod__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{{ range(10000000) }}",
        "{{ '{0.__class__}'.format(secret) }}",
        '{{ {}[secret("team/db").password] }}',
        '{{ secret("team/db").password|int(1)|attr("x") }}',
        '{{ secret("team/db").password.foo }}',
        '{{ secret("team/db").password + 1 }}',
        '{{ "!"|b64decode }}',
    ],
)
def test_what_it_cannot_do_fails_without_a_value(text):
    """No attribute of ours, no other file, no empty text for what is not there; the error has no value in it."""
    with pytest.raises(Conflict) as failed:
        filled(text)
    assert "7*7" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None or failed.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{ secret( }}", "line 1"),
        ("\n{% nothing %}", "line 2"),
        ('{{ secret("nomount") }}', "names a mount"),
        ('{{ secret("team/db", version="x") }}', "whole number"),
        ("{{ secret(1) }}", "as texts"),
        ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "nested too deeply"),
        ("{{ " + "(" * 5000 + "a" + ")" * 5000 + " }}", "nested too deeply"),
    ],
)
def test_a_template_that_is_none_is_refused_before_anything_is_fetched(text, complaint):
    """With its line, or what is wrong with the secret that it names."""
    with pytest.raises(Invalid, match=complaint):
        Template(text, "t")


def test_nothing_is_worked_out_before_it_is_filled():
    """Whoever compiles a template has no more to do than to read it: this one would take hours, or all memory."""
    for much in ("9 ** (9 ** 9)", '"a"|center(9999999999)', '"a" * 9999999999'):
        Template(f"{{{{ {much} }}}}{{% if {much} %}}{{% set x = {much} %}}{{% endif %}}", "t")
        with pytest.raises(Invalid, match="line 1: there is no autoescape here"):
            Template(f"{{% autoescape {much} %}}{{% endautoescape %}}", "t")


# ── Go ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{{ with secret "team/data/db" }}{{ .Data.data.user }}:{{ .Data.data.port }}{{ end }}', "app:5432"),
        ('{{ with secret "team/db" }}{{ .Data.user }}{{ end }}', "app"),
        ('{{ with secret "team/db" }}{{ .Data.data.user }}{{ end }}', "app"),
        ("{{- with $s := secret `team/data/db` -}}\n {{ $s.Data.data.user }} \n{{- end -}}\n", "app"),
        ('{{ $s := secret "team/data/db" }}{{ $s.Data.data.deep.er }}', "found"),
        ('{{ (secret "team/data/db").Data.data.user }}', "app"),
        (
            '{{ with secret "team/data/db" }}{{ range $k, $v := .Data.data.deep }}{{ $k }}={{ $v }}{{ end }}{{ end }}',
            "er=found",
        ),
        ('{{ with secret "team/data/db" }}{{ range .Data.data.hosts }}[{{ . }}]{{ end }}{{ end }}', "[a][b]"),
        (
            '{{ with secret "team/data/db" }}{{ range $i, $h := .Data.data.hosts }}{{ $i }}{{ $h }}{{ end }}{{ end }}',
            "0a1b",
        ),
        ('{{ with secret "team/data/db" }}{{ index .Data.data "x-y" }}{{ end }}', "dashed"),
        ('{{ with secret "team/data/db" }}{{ with .Data.data.deep }}{{ .er }}{{ end }}{{ end }}', "found"),
        ('{{ with secret "team/data/db" }}{{ .Data.data.deep | toJSON }}{{ end }}', '{"er":"found"}'),
        ('{{ with secret "team/data/db" }}{{ .Data.data.user | toUpper | base64Encode }}{{ end }}', "QVBQ"),
        ('{{ with secret "team/data/db" }}{{ .Data.data.hosts | join "," }}{{ end }}', "a,b"),
        ('{{ with secret "team/data/db" }}{{ .Data.data.user | replaceAll "a" "o" }}{{ end }}', "opp"),
        (
            '{{ with secret "team/data/db" }}{{ if eq .Data.data.user "app" }}y{{ else if .Data.data.on }}m{{ else }}n{{ end }}{{ end }}',
            "y",
        ),
        (
            '{{ with secret "team/data/db" }}{{ if and .Data.data.on (not .Data.data.none) }}y{{ end }}{{ end }}',
            "y",
        ),
        ("{{/* a comment */}}{% raw %}{# not ours #}", "{% raw %}{# not ours #}"),
        ('{{ "}}" }}', "}}"),
        ('{{ "😀" }}{{- /* }} */ -}}\r\n{', "😀{"),
    ],
)
def test_a_vault_agent_s_template_says_the_same_as_ours(text, found):
    """Converted and filled."""
    assert filled(converted(text, "t")) == found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('\n{{ key "consul/key" }}', "line 2: key cannot be converted"),
        ('{{ with secret "pki/issue/x" "ttl=1h" }}{{ end }}', "arguments beside its path"),
        ('{{ with secret "team/data/db?version=1" }}{{ end }}', "version in its path"),
        ('{{ with secret "team/db" }}{{ .LeaseID }}{{ end }}', ".LeaseID of a secret"),
        ('{{ with secret "team/db" }}{{ .Data.metadata.version }}{{ end }}', ".Data.metadata of a secret"),
        ('{{ with secret "team/db" }}{{ else }}{{ end }}', "else after with secret"),
        ('{{ with secret "team/db" }}', "with secret that has no end"),
        ("{{ end }}", "end of nothing"),
        ("{{ .Data.x }}", "outside of with and range"),
        ("{{ $x }}", r"the variable \$x"),
        ("{{ if true }", "not closed"),
        ("{{ " + '""' * 500, "not closed"),
        ("{{ " * 50_000, "not closed"),
        ("{{/* }}" * 50_000, "a comment that is not closed"),
        ('{{ env "HOME" }}', "env cannot be converted"),
        ('{{ file "/etc/passwd" }}', "file cannot be converted"),
        ('{{ printf "%s" "x" }}', "printf cannot be converted"),
        ('{{ template "x" }}', "template cannot be converted"),
        ('{{ with secret (printf "%s" "x") }}{{ end }}', "printf cannot be converted"),
        ("{{ ~ }}", "what stands there"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(text, complaint):
    """And with its line: never guessed at, never left out."""
    with pytest.raises(Invalid, match=complaint):
        converted(text, "t")


def test_other_delimiters_are_taken():
    """As left_delimiter and right_delimiter say; what would be an action of ours is plain text then."""
    text = converted(
        '[[ with secret "team/data/db" ]][[ .Data.data.user ]][[ end ]] {{ x }}', "t", "[[", "]]"
    )
    assert filled(text) == "app {{ x }}"
    text = converted('[[ with secret "team/data/db" ]]{[[ .Data.data.user ]]}[[ end ]]', "t", "[[", "]]")
    assert filled(text) == "{app}"
