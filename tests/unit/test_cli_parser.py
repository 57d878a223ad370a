"""The option grammar: pflag's, which podman's and docker's users know."""

import click
import pytest

from podlike.cli.command import Command, Flag, Parser, format_flags, split_commas
from podlike.cli.tree import Leaf, as_click_option
from podlike.errors import UsageError

FLAGS = (
    Flag("detach", "d"), Flag("interactive", "i"), Flag("tty", "t"), Flag("rm"), Flag("proxy", "", "bool", "", True),
    Flag("name", "n", "string"), Flag("env", "e", "array"), Flag("cap-add", "", "strings"), Flag("tail", "", "int", "", -1),
    Flag("count", "c", "uint"), Flag("cpus", "", "float"), Flag("network", "", "array", aliases=("net",)),
    Flag("list", "", "strings", "", ["a"]), Flag("fds", "", "uints"), Flag("wait", "", "duration"),
)


def parse(*args: str, interspersed: bool = True) -> tuple[Parser, list[str]]:
    parser = Parser(FLAGS)
    return parser, parser.parse(list(args), interspersed=interspersed)


def test_defaults() -> None:
    parser, rest = parse()
    assert rest == []
    assert parser.values == {
        "detach": False, "interactive": False, "tty": False, "rm": False, "proxy": True, "name": "", "env": [],
        "cap_add": [], "tail": -1, "count": 0, "cpus": 0, "network": [], "list": ["a"], "fds": [], "wait": ""}
    assert parser.given == set()


@pytest.mark.parametrize(("args", "expected", "rest"), [
    (["-itd"], {"interactive": True, "tty": True, "detach": True}, []),
    (["-dnfoo", "x"], {"detach": True, "name": "foo"}, ["x"]),
    (["-n=foo"], {"name": "foo"}, []),
    (["-it=false"], {"interactive": True, "tty": False}, []),
    (["--name", "a", "--name=b"], {"name": "b"}, []),
    (["--name", "--rm"], {"name": "--rm", "rm": False}, []),
    (["--rm=false"], {"rm": False}, []),
    (["--tty=T", "--proxy=0"], {"tty": True, "proxy": False}, []),
    (["--rm", "false"], {"rm": True}, ["false"]),
    (["-e", "A=1", "--env=B=2,3"], {"env": ["A=1", "B=2,3"]}, []),
    (["--cap-add", "A,B", "--cap-add=C"], {"cap_add": ["A", "B", "C"]}, []),
    (["--list", "b,c"], {"list": ["b", "c"]}, []),
    (["--tail", "-5"], {"tail": -5}, []),
    (["--count=0x10", "--cpus", "1.5", "--fds=3,4"], {"count": 16, "cpus": 1.5, "fds": [3, 4]}, []),
    (["--net", "host"], {"network": ["host"]}, []),
    (["--name="], {"name": ""}, []),
    (["a", "--rm", "b"], {"rm": True}, ["a", "b"]),
    (["a", "--", "--rm"], {"rm": False}, ["a", "--rm"]),
    (["-"], {}, ["-"]),
    (["--wait", "1h30m"], {"wait": "1h30m"}, []),
])
def test_accepts(args: list[str], expected: dict[str, object], rest: list[str]) -> None:
    parser, got = parse(*args)
    assert got == rest
    assert {k: parser.values[k] for k in expected} == expected


def test_options_end_at_the_first_argument_where_another_command_line_begins() -> None:
    parser, rest = parse("--rm", "image", "cmd", "--name", "-x", interspersed=False)
    assert rest == ["image", "cmd", "--name", "-x"]
    assert parser.values["rm"] and parser.values["name"] == ""
    assert parse("--", "image", "--rm", interspersed=False)[1] == ["image", "--rm"]


@pytest.mark.parametrize(("args", "message"), [
    (["--foo"], "unknown flag: --foo"),
    (["--foo=1"], "unknown flag: --foo"),
    (["-ix"], "unknown shorthand flag: 'x' in -ix"),
    (["--name"], "flag needs an argument: --name"),
    (["-n"], "flag needs an argument: 'n' in -n"),
    (["-in"], "flag needs an argument: 'n' in -in"),
    (["--=x"], "bad flag syntax: --=x"),
    (["---x"], "bad flag syntax: ---x"),
    (["--rm=maybe"], 'invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
    (["-c", "x"], 'invalid argument "x" for "-c, --count" flag: strconv.ParseUint: parsing "x": invalid syntax'),
    (["-c", "-1"], 'invalid argument "-1" for "-c, --count" flag: strconv.ParseUint: parsing "-1": invalid syntax'),
    (["--tail", "1.5"], 'invalid argument "1.5" for "--tail" flag: strconv.ParseInt: parsing "1.5": invalid syntax'),
    (["--cpus", "two"], 'invalid argument "two" for "--cpus" flag: strconv.ParseFloat: parsing "two": invalid syntax'),
    (["--wait", "10"], 'invalid argument "10" for "--wait" flag: time: missing unit in duration "10"'),
])
def test_refuses_in_podmans_words(args: list[str], message: str) -> None:
    with pytest.raises(UsageError) as e:
        parse(*args)
    assert e.value.message == message


def test_help_does_not_hide_an_error_behind_it() -> None:
    assert parse("--help")[0].help
    assert parse("-h")[0].help
    with pytest.raises(UsageError, match="unknown flag: --nope"):
        parse("--help", "--nope")


def test_short_h_may_be_a_flag_of_its_own() -> None:
    parser = Parser([Flag("hostname", "h", "string")])
    with pytest.raises(UsageError, match="flag needs an argument: 'h' in -h"):
        parser.parse(["-h"], interspersed=False)


def test_commas_and_quotes() -> None:
    assert split_commas('a,"b,c",d') == ["a", "b,c", "d"]
    assert split_commas("") == []
    with pytest.raises(ValueError, match="parse error"):
        split_commas('a"b,"c')


def test_flags_are_listed_as_cobra_lists_them() -> None:
    text = format_flags([Flag("zeta", "", "string", "Last", "v"), Flag("all", "a", "bool", "Show all"),
                         Flag("time", "t", "int", "Seconds", 10), Flag("size", "", "string", "How big", metavar="bytes")])
    assert text.split("\n") == [
        "  -a, --all           Show all",
        "      --size bytes    How big",
        "  -t, --time int      Seconds (default 10)",
        '      --zeta string   Last (default "v")',
    ]


def test_click_sees_the_same_options() -> None:
    command = Command("x", lambda call: None, summary="s", flags=FLAGS)
    leaf = Leaf(command)
    options = {o.name: o for o in leaf.get_params(click.Context(leaf)) if isinstance(o, click.Option)}
    assert set(options) == {f.dest for f in FLAGS}
    assert options["env"].multiple and options["rm"].is_flag
    assert as_click_option(Flag("network", "", "array", aliases=("net",))).opts == ["--network", "--net"]
