"""Unit files and their words: what is read, what is written, and that nothing a file holds gets past without its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlike.errors import ConfigError
from podlike.quadlet import sections
from podlike.quadlet.problems import Problem, nearest
from podlike.quadlet.unitfile import UnitFile, parse, template_parts
from podlike.quadlet.words import WordError, join_fields, quote_word, quote_words, split_fields, split_words


def read(text: str) -> UnitFile:
    problems: list[Problem] = []
    unit = parse(text, "/q/web.container", problems)
    assert not problems, [p.line for p in problems]
    return unit


def test_groups_of_one_name_are_one_and_lines_know_their_place() -> None:
    unit = read("# head\n[Unit]\nA=1\n\n[Container]\nImage = x  \n[Unit]\nA=2\n")
    assert list(unit.groups) == ["Unit", "Container"]
    assert [(line.value, line.number, line.path) for line in unit.lines("Unit", "A")] == [
        ("1", 3, "/q/web.container"), ("2", 8, "/q/web.container")]
    assert unit.text("Container", "Image") == "x"
    assert (unit.groups["Container"].number, unit.groups["Unit"].number) == (5, 2)


def test_a_file_is_written_as_it_was_read() -> None:
    text = "# head\n[Unit]\n# about a\nA=1\n\n# two\n[Container]\nImage=x\n; end\n"
    assert read(text).to_text() == text


@pytest.mark.parametrize(("text", "value", "number"), [
    ("[C]\nExec=a \\\n  b \\\n c", "a b c", 2),
    ("[C]\nExec=a \\\n# comment\n\n; another\n b", "a b", 2),
    ("[C]\nExec=a \\ \nb", "a b", 2),
    ("[C]\nExec=a\\", "a", 2),
    ("[C]\nExec=a \\\n# only comments follow", "a ", 2),
])
def test_continued_lines(text: str, value: str, number: int) -> None:
    problems: list[Problem] = []
    line = parse(text, "/q/c", problems).last("C", "Exec")
    assert line is not None and (line.value, line.number) == (value, number) and not problems


def test_an_empty_value_takes_back_those_before() -> None:
    unit = read("[C]\nV=1\nV=2\nV=\nV=3\nW=x\n")
    assert [line.value for line in unit.lines("C", "V")] == ["3"]
    assert [line.value for line in unit.lines("C", "V", "W")] == ["3", "x"]


@pytest.mark.parametrize(("value", "plain"), [('"a b"', "a b"), ('"a', '"a'), ('a"', 'a"'), ('""', ""), ('"', '"'), ("a  ", "a")])
def test_one_pair_of_quotes_around_a_value_is_taken_off(value: str, plain: str) -> None:
    assert read(f"[C]\nK={value}\n").text("C", "K") == plain


@pytest.mark.parametrize(("text", "number", "words"), [
    ("[C]\nimage\n", 2, "not a key-value pair"),
    ("[C]\n=x\n", 2, "not a key-value pair"),
    ("A=b\n[C]\n", 1, "does not start with a group"),
    ("[C\nA=b\n", 1, "not a key-value pair"),
    ("[]\n", 1, "invalid group name"),
    ("[C] x\n", 1, "not a key-value pair"),
])
def test_what_is_no_unit_file_is_told_with_its_line(text: str, number: int, words: str) -> None:
    problems: list[Problem] = []
    parse(text, "/q/c", problems)
    assert problems[0].number == number and words in problems[0].text and problems[0].place == f"/q/c:{number}"


@given(st.text(max_size=400) | st.text(alphabet="[]=\\#; \nAbX\"'%\t\x00é", max_size=200))
def test_no_text_is_too_much_for_the_parser(text: str) -> None:
    problems: list[Problem] = []
    unit = parse(text, "/q/c", problems)
    count = text.count("\n") + 1
    assert all(p.path == "/q/c" and 1 <= p.number <= count and p.about_text for p in problems)
    for group in unit.groups.values():
        assert all(1 <= line.number <= count for line in group.lines if line.key)
    again: list[Problem] = []
    if "\x00" not in text:
        written = parse(unit.to_text(), "/q/c", again)
        assert not again
        assert {g: [(x.key, x.value) for x in v.lines if x.key] for g, v in written.groups.items() if g} == {
            g: [(x.key, x.value) for x in v.lines if x.key] for g, v in unit.groups.items() if g}


def test_renaming_keeps_the_place_and_merges_where_the_name_is_taken() -> None:
    unit = read("[A]\n1=1\n[B]\n2=2\n[C]\n3=3\n")
    unit.rename("A", "Z")
    assert list(unit.groups) == ["Z", "B", "C"]
    unit.rename("B", "C")
    assert unit.to_text() == "[Z]\n1=1\n\n[C]\n3=3\n2=2\n"


def test_a_copy_shares_nothing_that_changes() -> None:
    unit = read("[A]\n1=1\n")
    copy = unit.copy("b")
    copy.set("A", "1", "2")
    copy.add("B", "x", "y")
    copy.remove("A", "0")
    assert unit.to_text() == "[A]\n1=1\n" and copy.to_text() == "[A]\n1=2\n\n[B]\nx=y\n"


@pytest.mark.parametrize(("name", "parts"), [
    ("web.container", ("web", "", False)), ("web@.container", ("web", "", True)), ("web@a@b.pod", ("web", "a@b", True)),
    (".container", (".container", "", False)), ("a.b.volume", ("a.b", "", False))])
def test_template_parts(name: str, parts: tuple[str, str, bool]) -> None:
    assert template_parts(name) == parts


# --- words ---

@pytest.mark.parametrize(("text", "words"), [
    ("a  b\tc", ["a", "b", "c"]), ("", []), ("   ", []),
    ("'a b' \"c d\"", ["a b", "c d"]), ('a"b c"d', ["ab cd"]), ("a '' b", ["a", "", "b"]),
    (r"a\x20b \u00e9 \U0001F51F \110 \s.", ["a b", "é", "🔟", "H", " ."]),
    (r"'a\tb' \"", ["a\tb", '"']), ("'open quote", ["open quote"]), ("end\\", ["end"]),
])
def test_words_of_command_lines(text: str, words: list[str]) -> None:
    assert split_words(text, unescape=True) == words


@pytest.mark.parametrize("text", [r"\z", r"\x0", r"\xgg", r"\00", r"\000", r"\x00", r"\777", r"\u12", r"\U00110000", r"\ud800"])
def test_escapes_that_there_are_not(text: str) -> None:
    with pytest.raises(WordError, match="unsupported escape char"):
        split_words(text, unescape=True)


def test_words_of_lists_keep_backslashes_and_want_closed_quotes() -> None:
    assert split_words(r"a\x20b 'c d'", unescape=False) == [r"a\x20b", "c d"]
    with pytest.raises(WordError, match="unbalanced quotes"):
        split_words("'a", unescape=False)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_quoted_words_are_read_back(words: list[str]) -> None:
    line = quote_words(words)
    assert "\n" not in line and split_words(line, unescape=True) == words


@given(st.text(max_size=60))
def test_splitting_gives_words_or_a_word_error(text: str) -> None:
    for unescape in (True, False):
        try:
            split_words(text, unescape=unescape)
        except WordError as e:
            assert str(e)


def test_specifiers_and_variables_are_left_to_systemd() -> None:
    assert quote_word("%h/$X") == "%h/$X"
    assert quote_word("a b") == r'"a\x20b"' and quote_word("") == '""' and quote_word("it's") == '"it\'s"'


@pytest.mark.parametrize(("text", "fields"), [
    ("type=bind,source=/a", ["type=bind", "source=/a"]), ('a,"b,c",d', ["a", "b,c", "d"]), ('"a""b"', ['a"b']),
    ("a,,", ["a", "", ""]),
])
def test_fields_of_mounts(text: str, fields: list[str]) -> None:
    assert split_fields(text) == fields
    assert split_fields(join_fields(fields)) == fields


@pytest.mark.parametrize("text", ['a"b', '"a', '"a"b'])
def test_fields_that_cannot_be_split(text: str) -> None:
    with pytest.raises(WordError):
        split_fields(text)


# --- suggestions ---

@pytest.mark.parametrize(("word", "found"), [("Imgae", "Image"), ("image", "Image"), ("Volumes", "Volume"), ("Xyzzy", ""),
("", "")])
def test_the_nearest_word(word: str, found: str) -> None:
    assert nearest(word, ("Image", "Volume", "Exec", "PublishPort")) == found


# --- several in one file ---

def test_sections() -> None:
    text = ("# FileName=web\n# more\n[Unit]\nDescription=x\n[Container]\nImage=a\n---\n\n  ---  \n"
            "#FileName = data\n[Volume]\n---\n\n")
    with pytest.raises(ConfigError, match=r"app.quadlets:10: .*missing required '# FileName=<name>'"):
        sections.split(text, "app.quadlets")
    assert sections.split(text.replace("#FileName = data", "# FileName=data"), "app.quadlets") == [
        ("web.container", "# FileName=web\n# more\n[Unit]\nDescription=x\n[Container]\nImage=a\n"),
        ("data.volume", "# FileName=data\n[Volume]\n")]


@pytest.mark.parametrize(("text", "words"), [
    ("[Container]\nImage=a", "missing required"), ("# FileName=\n[Pod]", "no filename specified"),
    ("# FileName=a/b\n[Pod]", "path separators"), ("# FileName=a\nx=y", "unable to detect quadlet type in section 1"),
    ("---\n---", "no valid quadlet sections"), ("# FileName=a\n[Pod]\n---\n# FileName=a\n[Pod]", "there is a a.pod before it"),
])
def test_sections_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sections.split(text, "app.quadlets")
