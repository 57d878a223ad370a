"""Go templates: what scripts write behind --format, and what Go answers.

data/gotemplate.json: [template, output, error] of text/template of Go 1.24 for the value that GO_DATA stands for.
"""

import json
import re
from pathlib import Path

import pytest

from podlike.spec.gotemplate import Template
from podlike.spec.govalues import Struct, TemplateError, View, go_string

DATA = {
    "Map": {"b": "2", "a": "1"}, "List": ["x", "y"], "Nil": None, "Yes": True, "Zero": 0, "Num": 42, "Empty": [],
    "State": Struct(Status="running", Running=True, ExitCode=0, Health=None), "Float": 0.25,
    "Labels": {"com.example.x": "v", "é": "accent"},
}


def render(text: str, data: object = DATA) -> str:
    return Template(text, name="t").execute(data)


@pytest.mark.parametrize(("text", "expected"), [
    ("{{.Map}} {{.List}} {{.Nil}} {{.Nope}}", "map[a:1 b:2] [x y] <no value> <no value>"),
    ("{{.Yes}} {{.Num}} {{.Float}}", "true 42 0.25"),
    ("{{.State}}", "{running true 0 <nil>}"),
    ("{{.State.Status}} {{ .State.Running }}", "running true"),
    ("{{.State.status}}", "running"),
    ("a {{- 1 -}} b", "a1b"),
    ("{{/* note */}}x{{- /* more */ -}}  y", "xy"),
    ('{{"}}"}}', "}}"),
    (r'{{"a\tb\"\u00e9"}}', 'a\tb"é'),
    ("{{`raw\\n`}}", "raw\\n"),
    ("{{if .Empty}}a{{else if .Yes}}b{{else}}c{{end}}", "b"),
    ("{{if and .Yes .Num}}both{{end}}{{if or .Zero .Empty}}{{else}}none{{end}}", "bothnone"),
    ("{{or .Zero .Num}} {{and .Yes .Zero}} {{not .Zero}}", "42 0 true"),
    ("{{with .State}}{{.Status}}{{end}}{{with .Nil}}x{{else}}none{{end}}", "runningnone"),
    ("{{range .List}}<{{.}}>{{end}}", "<x><y>"),
    ("{{range $i, $v := .List}}{{$i}}={{$v}} {{end}}", "0=x 1=y "),
    ("{{range $k, $v := .Map}}{{$k}}{{$v}};{{end}}", "a1;b2;"),
    ("{{range .Empty}}x{{else}}nothing{{end}}", "nothing"),
    ("{{range .List}}{{if eq . \"y\"}}{{break}}{{end}}{{.}}{{end}}", "x"),
    ("{{range .List}}{{if eq . \"x\"}}{{continue}}{{end}}{{.}}{{end}}", "y"),
    ("{{range .List}}{{$.Num}}{{end}}", "4242"),
    ("{{$x := 1}}{{range .List}}{{$x = .}}{{end}}{{$x}}", "y"),
    ("{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" .Num}}{{template \"T\"}}", "[42][<no value>]"),
    ("{{block \"B\" .Num}}({{.}}){{end}}", "(42)"),
    ('{{index .Map "a"}}{{index .List 1}}{{index .Map "zz"}}', "1y"),
    ('{{index .Labels "com.example.x"}} {{.Labels.é}}', "v accent"),
    ('{{len .List}} {{len "é"}} {{slice "hello" 1 3}} {{slice .List 1}}', "2 2 el [y]"),
    ('{{eq .Num 1 42}} {{ne .Num 42}} {{lt 1 2}} {{ge 2 2}} {{gt "b" "a"}} {{le 3 2}}', "true false true true true false"),
    ('{{json .State}}', '{"Status":"running","Running":true,"ExitCode":0,"Health":null}'),
    ('{{.Map | json}}', '{"a":"1","b":"2"}'),
    ('{{join .List ","}} {{split "a/b" "/"}} {{"abc" | upper | printf "%-5s|"}}', "x,y [a b] ABC  |"),
    ('{{lower "AB"}} {{title "two words"}} {{trim " x "}} {{pad "x" 1 2}}| {{truncate "abcdef" 3}}',
     "ab Two Words x  x  | abc"),
    ('{{printf "%q %5.2f %05d %x %t %v %% %d" "a" 1.5 42 255 true .List 7}}', '"a"  1.50 00042 ff true [x y] % 7'),
    ('{{print 1 2 "x" 3}} {{println "a" 1}}', "1 2x3 a 1\n"),
    ('{{html "<a&b>"}} {{urlquery "a b/é"}} {{js "it\'s"}}', r"&lt;a&amp;b&gt; a+b%2F%C3%A9 it\'s"),
    ("{{(index .List 0)}}{{(.State).Status}}", "xrunning"),
    ("{{1.0}} {{0x10}} {{-3}} {{1e3}} {{'a'}}", "1 16 -3 1000 97"),
    ("{{range 3}}{{.}}{{end}}", "012"),
])
def test_renders_as_go_does(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(("text", "words"), [
    ("{{.A", "unclosed action"),
    ("{{nope .A}}", 'function "nope" not defined'),
    ("{{end}}", "unexpected {{end}}"),
    ("{{if .A}}x", "unexpected EOF"),
    ("{{if}}{{end}}", "missing value for if"),
    ("{{}}", "missing value for command"),
    ("{{$x}}", 'undefined variable "$x"'),
    ("{{break}}", "outside {{range}}"),
    ('{{"abc}}', "unterminated quoted string"),
    ("{{.A ?}}", 'unexpected "?" in operand'),
    ("{{(.A}}", "unclosed left paren"),
    ("{{range .A}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
])
def test_refuses_what_does_not_parse(text: str, words: str) -> None:
    with pytest.raises(TemplateError) as e:
        Template(text, name="ps")
    assert e.value.message.startswith("template: ps:1: ")
    assert words in e.value.message


@pytest.mark.parametrize(("text", "words"), [
    ("{{.State.Nope}}", "at <.State.Nope>: can't evaluate field Nope"),
    ("{{.State.Health.Status}}", "nil pointer evaluating"),
    ("{{.Num.X}}", "can't evaluate field X in type int"),
    ('{{eq 1 "a"}}', "incompatible types for comparison"),
    ("{{index .List 9}}", "index out of range: 9"),
    ("{{len 3}}", "error calling len"),
    ("{{lower}}", "wrong number of args for lower"),
    ("{{range .State}}{{end}}", "range can't iterate over"),
    ('{{template "gone"}}', 'template "gone" not defined'),
    ('{{define "T"}}{{template "T"}}{{end}}{{template "T"}}', "maximum template depth"),
])
def test_execution_errors_name_the_place(text: str, words: str) -> None:
    with pytest.raises(TemplateError) as e:
        render(text)
    assert 'executing "t' in e.value.message.replace('"T"', '"t"')
    assert words in e.value.message


def test_error_gives_line_and_column() -> None:
    with pytest.raises(TemplateError, match=r"template: t:2:\d+: executing"):
        render("line one\n{{.State.Nope}}")


def test_view_computes_fields_on_demand_and_has_methods() -> None:
    calls = []

    def dear() -> str:
        calls.append(1)
        return "value"

    view = View({"Dear": dear, "Plain": "p", "Label": lambda name: name.upper()}, lambda: {"doc": 1})
    assert render('{{.Plain}} {{.Label "x"}}', view) == "p X"
    assert not calls
    assert render("{{.Dear}} {{json .}}", view) == 'value {"doc":1}'
    with pytest.raises(TemplateError):
        render("{{.Nope}}", view)


def test_podman_field_names_that_differ_from_json() -> None:
    assert render("{{.ID}} {{.Src}} {{.Dst}}", Struct(Id="i", Source="s", Destination="d")) == "i s d"


@pytest.mark.parametrize(("value", "text"), [
    (1e21, "1e+21"), (1e20, "1e+20"), (123456.0, "123456"), (5e-5, "5e-05"), (0.0001, "0.0001"), (1.5e300, "1.5e+300"),
    (float("inf"), "+Inf"), (-0.5, "-0.5"), (True, "true"), ([None, False], "[<nil> false]"), ({}, "map[]"),
])
def test_go_string(value: object, text: str) -> None:
    assert go_string(value) == text


def _inner(name: str, count: int, tags: list[str], **entries: str) -> Struct:
    return Struct({"Name": name, "Count": count, "Tags": tags, "Map": entries})


_LABELS = {"x": "1", "app": "shop"}
_DOC: dict[str, object] = {
    "Id": "abc123", "Name": "web one", "Names": ["a", "b", "c"], "Labels": _LABELS, "Inner": _inner("in", 3, ["t"], k="v"),
    "List": [_inner("l1", 1, []), _inner("l2", 2, ["u", "v"])], "Ptr": _inner("p", 9, []), "Nil": None, "Num": 42, "Float": 1.5,
    "Yes": True, "No": False, "Any": [1, "two", 3.5, None, True, {"deep": ["q"]}], "Empty": "", "None": [], "NoMap": {},
    "Nested": {"a": {"b": "c"}, "n": None, "i": 7}}
GO_DATA = View({**_DOC, "Label": lambda name: _LABELS.get(name, ""), "Upper": lambda: "WEB ONE"}, _DOC)
GO_FACTS = json.loads((Path(__file__).parent / "data/gotemplate.json").read_text())


def _without_types(message: str) -> str:
    """Go names the types of its own structs."""
    return re.sub(r"(?<=type ).*$", "T", message)


@pytest.mark.parametrize(("text", "output", "error"), GO_FACTS, ids=[str(i) for i in range(len(GO_FACTS))])
def test_agrees_with_go(text: str, output: str | None, error: str | None) -> None:
    if error is None:
        assert Template(text, name="t").execute(GO_DATA) == output
        return
    with pytest.raises(TemplateError) as e:
        Template(text, name="t").execute(GO_DATA)
    assert _without_types(e.value.message) == _without_types(error)
