"""Dockerfiles: lines, flags, here-documents, stages; variables and quotes; ignore files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlike.errors import UsageError
from podlike.spec import shellwords
from podlike.spec.dockerfile import Heredoc, Instruction, parse, parse_trigger
from podlike.spec.ignorefile import Ignored


def only(text: str) -> Instruction:
    """The one instruction after FROM."""
    (stage,) = parse("FROM base\n" + text).stages
    (one,) = stage.instructions
    return one


# --- lines ---

def test_continued_lines_and_comments_between() -> None:
    one = only("run echo a \\\n# not this\n\n   b \\\n  c\n")
    assert (one.line, one.name, one.text) == (2, "RUN", "echo a    b   c")


def test_a_continuation_of_nothing() -> None:
    assert only("\\\n\n\\\nRUN a\n").text == "a"
    assert parse("FROM a\n\\\n \\\n").stages[0].instructions == ()


def test_another_escape_character() -> None:
    (stage,) = parse("# escape=`\nFROM base\nCOPY a `\n  c:\\dir\\\n").stages
    assert stage.instructions[0].text == "a   c:\\dir\\"


def test_a_comment_that_is_no_directive_ends_the_directives() -> None:
    (stage,) = parse("# hello\n# escape=`\nFROM base\nRUN a \\\n b\n").stages
    assert stage.instructions[0].text == "a  b"


def test_byte_order_mark_and_line_ends_of_windows() -> None:
    (stage,) = parse("\ufeffFROM base\r\nRUN a\r\n").stages
    assert (stage.base, stage.instructions[0].text) == ("base", "a")


def test_the_json_form_and_what_only_looks_like_it() -> None:
    assert only('CMD ["a", "b c"]').words == ("a", "b c")
    assert only("CMD ['a']").words is None
    assert only('CMD ["a", 1]').words is None
    assert only("CMD []").words == ()


def test_flags() -> None:
    one = only("COPY --from=build --chown=1:2 --link --exclude=*.o --exclude='a b' -- --x /dst")
    assert one.flags == (("from", "build"), ("chown", "1:2"), ("link", "true"), ("exclude", "*.o"), ("exclude", "'a b'"))
    assert one.text == "--x /dst"
    assert one.repeated("exclude") == ["*.o", "'a b'"]


def test_heredocs() -> None:
    one, _ = parse("FROM b\nCOPY <<one <<-'two' /dst/\nx $y\none\n\ta\n\t\tb\n\ttwo\nRUN later\n").stages[0].instructions
    assert one.heredocs == (Heredoc("one", "x $y\n", True), Heredoc("two", "a\nb\n", False))


def test_a_shift_is_no_heredoc() -> None:
    assert only("RUN echo $((1<<2)) <<<word").heredocs == ()


def test_stages() -> None:
    file = parse("ARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS Build\nRUN x\nFROM build\n")
    assert [a.text for a in file.arguments] == ["V=1"]
    assert [(s.base, s.name, s.platform) for s in file.stages] == [("a:$V", "build", "$BUILDPLATFORM"), ("build", "", "")]


@pytest.mark.parametrize(("text", "where", "word"), [
    ("", "D:1:", "no FROM"),
    ("RUN x", "D:1:", "before the first FROM"),
    ("FROM a b", "D:1:", "FROM takes"),
    ("FROM a AS 1", "D:1:", "a stage's name"),
    ("FROM a AS x\nFROM b AS X", "D:2:", "there already"),
    ("FROM a\n\nRUNN x", "D:3:", "unknown instruction RUNN"),
    ("FROM a\nRUN", "D:2:", "needs an argument"),
    ("FROM a\nCOPY --form=x a b", "D:2:", "unknown flag of COPY: --form"),
    ("FROM a\nCOPY --from a b", "D:2:", "--from needs a value"),
    ("FROM a\nCOPY --from=a --from=b c d", "D:2:", "given twice"),
    ("FROM a\nCOPY a", "D:2:", "a source and a destination"),
    ("FROM a\nSHELL /bin/sh", "D:2:", "JSON form"),
    ("FROM a\nENV a", "D:2:", "no value"),
    ("FROM a\nENV a=1 b", "D:2:", "no ="),
    ("FROM a\nLABEL a='b", "D:2:", "not closed"),
    ("FROM a\nONBUILD FROM b", "D:2:", "cannot be a trigger"),
    ("FROM a\nONBUILD RUNN b", "D:2:", "unknown instruction RUNN"),
    ("FROM a\nRUN <<X\na", "D:2:", "no line X"),
    ("# escape=x\nFROM a", "D:1:", "escape=x"),
    ("# escape=`\n# escape=`\nFROM a", "D:2:", "twice"),
    ("FROM a\0", "read D", "zero byte"),
])
def test_mistakes_name_their_place(text: str, where: str, word: str) -> None:
    with pytest.raises(UsageError) as e:
        parse(text, "D")
    assert e.value.message.startswith(where), e.value.message
    assert word in e.value.message


def test_the_nearest_instruction_and_flag_are_named() -> None:
    for text, near in (("FROM a\nRUNN x", "RUN"), ("FROM a\nCOPY --form=x a b", "--from")):
        with pytest.raises(UsageError) as e:
            parse(text)
        assert e.value.hint == f"Did you mean {near}?"


def test_triggers() -> None:
    assert parse_trigger("RUN a b", "image", 3).text == "a b"
    for text in ("FROM x", "RUN a\nRUN b", ""):
        with pytest.raises(UsageError):
            parse_trigger(text, "image")


@given(st.text(alphabet=st.sampled_from("FROMRUNCOPY abc\n\\\"'[]{}<-=#$\t`"), max_size=80))
def test_any_text_is_parsed_or_told_with_its_place(text: str) -> None:
    try:
        parse("FROM a\n" + text, "D")
    except UsageError as e:
        assert e.message.startswith(("D:", "read D"))


# --- values ---

KNOWN = {"a": "1", "e": "", "w": "x y", "path": "foo.tar.gz", "p": "a/b/c"}


@pytest.mark.parametrize(("text", "value"), [
    ("$a${a}b", "11b"), ("\\$a", "$a"), ("'$a'", "$a"), ('"$a"', "1"), ('"\\$a\\"\\n"', '$a"\\n'), ("$", "$"), ("$.", "$."),
    ("$none|", "|"), ("${none:-d}", "d"), ("${e:-d}", "d"), ("${e-d}", ""), ("${a:+s}", "s"), ("${e:+s}", ""), ("${e+s}", "s"),
    ("${none:-${a}2}", "12"), ("${none:-'}'}", "}"), ("${a:?x}", "1"),
    ("${path#*.}", "tar.gz"), ("${path##*.}", "gz"), ("${path%.*}", "foo.tar"), ("${path%%.*}", "foo"),
    ("${path#x}", "foo.tar.gz"),
    ("${p/\\//-}", "a-b/c"), ("${p//\\//-}", "a-b-c"), ("${path/?ar/zip}", "foo.zip.gz"), ("a\\ b", "a b"), ("", ""),
])
def test_one_value(text: str, value: str) -> None:
    assert shellwords.expand(text, KNOWN) == value


@pytest.mark.parametrize(("text", "words"), [
    ("a $w b", ["a", "x", "y", "b"]), ('a"$w" b', ["ax y", "b"]), ("'a b' c", ["a b", "c"]), ("$e", []), ('""', [""]),
    ("a\\ b", ["a b"]),
])
def test_words(text: str, words: "list[str]") -> None:
    assert shellwords.expand_words(text, KNOWN) == words


@pytest.mark.parametrize("text", ["${", "${a", "${}", "${a:", "${a:x}", "${a!}", "'a", '"a', "${none:?}", "${none?said}",
                                  "${a:-" * 99])
def test_what_cannot_be_replaced(text: str) -> None:
    with pytest.raises(UsageError):
        shellwords.expand(text, KNOWN)


def test_a_missing_variable_is_told_in_the_authors_words() -> None:
    with pytest.raises(UsageError, match="none: give me one"):
        shellwords.expand("${none:?give me one}", KNOWN)


def test_pairs() -> None:
    assert shellwords.pairs("a=1 b='x y' c=\"z\"") == [("a", "1"), ("b", "'x y'"), ("c", '"z"')]
    assert shellwords.pairs("a  x  y ") == [("a", "x  y")]
    assert shellwords.pairs("a=x\\ y") == [("a", "x\\ y")]


@given(st.text(alphabet=st.sampled_from("${}:-+?#%/ab'\"\\ "), max_size=40))
def test_any_value_is_read_or_refused(text: str) -> None:
    try:
        shellwords.expand(text, KNOWN)
        shellwords.expand_words(text, KNOWN)
    except UsageError as e:
        assert e.message


# --- what stays out ---

@pytest.mark.parametrize(("lines", "out", "kept"), [
    (["node_modules"], ["node_modules", "node_modules/a/b"], ["x/node_modules"]),
    (["**/*.o"], ["a.o", "x/y/a.o"], ["a.oo"]),
    (["*.md", "!README.md"], ["a.md"], ["README.md", "x/a.md"]),
    (["*", "!src"], ["a", "b/c"], ["src", "src/x"]),
    (["!a", "a"], ["a"], []),
    (["/a/../b/"], ["b", "b/c"], ["a"]),
    (["# a", "", " b "], ["b"], ["a", "# a"]),
    (["a?c", "[x-z]"], ["abc", "y"], ["ac", "a/c", "w"]),
    (["a\\*"], ["a*"], ["ab"]),
    (["."], [], ["a"]),
    (["x/**"], ["x/a", "x/a/b"], ["y"]),
])
def test_ignored(lines: "list[str]", out: "list[str]", kept: "list[str]") -> None:
    rules = Ignored(lines)
    assert [p for p in out if not rules.leaves_out(p)] == []
    assert [p for p in kept if rules.leaves_out(p)] == []


def test_directories_that_are_looked_into() -> None:
    rules = Ignored(["a", "b", "!*/x", "!a/c/*"])
    assert rules.may_keep_below("a") and rules.may_keep_below("a/c") and not rules.may_keep_below("b")


@pytest.mark.parametrize(("line", "word"), [("a[", "no pattern"), ("a\\", "no pattern"), ("!", "takes nothing back")])
def test_wrong_patterns_name_their_line(line: str, word: str) -> None:
    with pytest.raises(UsageError, match=f"i:2: .*{word}"):
        Ignored(["x", line], "i")
