"""registries.conf: search order, merging, prefixes, mirrors, short names."""

from pathlib import Path

import pytest

from podlike import registries_conf
from podlike.errors import ConfigError
from podlike.registries_conf import RegistriesConf, Source, load_registries_conf, record_alias


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(registries_conf, "cached_aliases_path", lambda: str(tmp_path / "cache/aliases.conf"))
    monkeypatch.setattr(registries_conf, "SYSTEM_DIRS", (str(tmp_path / "etc"), str(tmp_path / "usr")))
    monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF", raising=False)
    monkeypatch.delenv("REGISTRIES_CONF", raising=False)
    return tmp_path


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load(home: Path, text: str) -> RegistriesConf:
    put(home / "etc/registries.conf", text)
    return load_registries_conf()


def test_nothing_configured_means_docker_hub() -> None:
    conf = load_registries_conf()
    assert conf.resolve_short("nginx") == (["docker.io/nginx"], False)
    assert conf.pull_sources("quay.io/a/b", by_digest=False) == [Source("quay.io/a/b", False)]


def test_an_empty_search_list_is_obeyed(home: Path) -> None:
    conf = load(home, "unqualified-search-registries = []")
    with pytest.raises(ConfigError, match='short-name "nginx" did not resolve to an alias and no unqualified') as e:
        conf.resolve_short("nginx")
    assert e.value.hint and "docker.io/library/nginx" in e.value.hint


def test_the_users_file_replaces_the_systems_and_drop_ins_merge_by_name(home: Path) -> None:
    put(home / "etc/registries.conf", 'unqualified-search-registries = ["etc.example"]')
    put(home / "config/containers/registries.conf", 'unqualified-search-registries = ["user.example"]')
    put(home / "usr/registries.conf.d/10-a.conf", '[aliases]\n"a" = "x.example/usr"\n"b" = "x.example/b"')
    put(home / "etc/registries.conf.d/10-a.conf", '[aliases]\n"a" = "x.example/etc"')
    put(home / "config/containers/registries.conf.d/20-b.conf", '[aliases]\n"c" = "x.example/c"')
    put(home / "etc/registries.conf.d/30-c.conf", '[aliases]\n"c" = ""\n"d" = "x.example/d"')
    put(home / "etc/registries.conf.d/40-c.txt", "not toml at all [")
    conf = load_registries_conf()
    assert conf.search_registries == ("user.example",)
    assert conf.aliases == {"a": "x.example/etc", "d": "x.example/d"}


def test_the_environment_names_the_only_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home / "etc/registries.conf.d/1.conf", '[aliases]\n"a" = "x.example/a"')
    put(home / "only.conf", 'unqualified-search-registries = ["only.example"]')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "only.conf"))
    conf = load_registries_conf()
    assert conf.search_registries == ("only.example",) and not conf.aliases
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "none.conf"))
    with pytest.raises(ConfigError, match=r"none\.conf: No such file"):
        load_registries_conf()


PREFIXES = """
[[registry]]
location = "example.com"
[[registry]]
prefix = "example.com/team"
location = "mirror.internal:5000/t"
insecure = true
[[registry]]
prefix = "*.example.com"
location = "wild.internal"
[[registry]]
prefix = "*.nowhere.org"
blocked = true
"""


@pytest.mark.parametrize(("repository", "want"), [
    ("example.com/a", Source("example.com/a", False)),
    ("example.com/team/a", Source("mirror.internal:5000/t/a", True)),
    ("example.com/teams/a", Source("example.com/teams/a", False)),
    ("x.y.example.com/a", Source("wild.internal/a", False)),
    ("notexample.com/a", Source("notexample.com/a", False)),
    ("other.org/x.example.com/a", Source("other.org/x.example.com/a", False)),
])
def test_the_longest_prefix_wins(home: Path, repository: str, want: Source) -> None:
    assert load(home, PREFIXES).pull_sources(repository, by_digest=False) == [want]


def test_blocked(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"registry \*\.nowhere\.org is blocked in"):
        load(home, PREFIXES).pull_sources("a.nowhere.org/x", by_digest=False)


def test_mirrors(home: Path) -> None:
    conf = load(home, """
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m1.example/hub"
[[registry.mirror]]
location = "m2.example"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.example"
pull-from-mirror = "tag-only"
[[registry]]
location = "strict.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m4.example"
""")
    def places(repository: str, by_digest: bool) -> list[str]:
        return [s.repository for s in conf.pull_sources(repository, by_digest=by_digest)]

    nginx = "library/nginx"
    assert places(f"docker.io/{nginx}", False) == [
        f"m1.example/hub/{nginx}", f"m3.example/{nginx}", f"docker.io/{nginx}"]
    assert places(f"docker.io/{nginx}", True) == [
        f"m1.example/hub/{nginx}", f"m2.example/{nginx}", f"docker.io/{nginx}"]
    assert places("strict.example/x", False) == ["strict.example/x"]
    assert places("strict.example/x", True) == ["m4.example/x", "strict.example/x"]


def test_a_drop_in_replaces_a_registry_whole(home: Path) -> None:
    put(home / "etc/registries.conf.d/9.conf", '[[registry]]\nlocation = "example.com"\nblocked = false')
    conf = load(home, '[[registry]]\nlocation = "example.com"\nblocked = true\ninsecure = true')
    assert conf.pull_sources("example.com/x", by_digest=False) == [Source("example.com/x", False)]


def test_short_name_modes(home: Path) -> None:
    two = 'unqualified-search-registries = ["a.example", "b.example/"]\n'
    assert load(home, two).resolve_short("x/y") == (["a.example/x/y", "b.example/x/y"], True)
    assert load(home, two + 'short-name-mode = "disabled"').resolve_short("x")[1] is False
    assert load(home, two + '[aliases]\nx = "c.example/x"').resolve_short("x") == (["c.example/x"], False)


def test_a_recorded_choice_beats_the_configured_alias(home: Path) -> None:
    put(home / "etc/registries.conf.d/1.conf", '[aliases]\n"x" = "a.example/x"')
    record_alias("x", "b.example/x")
    record_alias("y/z", "b.example/y/z")
    assert load_registries_conf().aliases == {"x": "b.example/x", "y/z": "b.example/y/z"}


def test_the_old_form(home: Path) -> None:
    conf = load(home, """
[registries.search]
registries = ["a.example"]
[registries.insecure]
registries = ["i.example:5000"]
[registries.block]
registries = ["bad.example"]
""")
    assert conf.search_registries == ("a.example",)
    assert conf.pull_sources("i.example:5000/x", by_digest=False)[0].insecure
    with pytest.raises(ConfigError, match="blocked"):
        conf.pull_sources("bad.example/x", by_digest=False)


@pytest.mark.parametrize(("text", "words"), [
    ("a = ", "Invalid value"),
    ('unqualified-search-registries = "docker.io"', "must be a list of strings"),
    ('unqualified-search-registries = ["https://docker.io"]', "must not start with a protocol"),
    ('short-name-mode = "maybe"', "short-name-mode 'maybe' is unknown"),
    ("[registry]\nlocation = 'x.example'", "must be a list of tables"),
    ("[[registry]]\ninsecure = true", r"registry\[0\] has neither location nor prefix"),
    ("[[registry]]\nlocation = 'x.example'\ninsecure = 'yes'", r"registry\[0\]\.insecure must be true or false"),
    ("[[registry]]\nprefix = 'x.*.example'\nlocation = 'y'", r"not of the form \*\.example\.com"),
    ("[[registry]]\nprefix = 'x.example'", "has no location"),
    ("[[registry]]\nlocation = 'x'\n[[registry.mirror]]\ninsecure = true", r"mirror\[0\] must be a table with a loc"),
    ("[[registry]]\nlocation = 'x'\n[[registry.mirror]]\nlocation = 'm'\npull-from-mirror = 'never'", "not one of"),
    ("[aliases]\nx = 'y'", "must be registry/repository without a tag"),
    ("[aliases]\nx = 'q.example/y:1'", "must be registry/repository without a tag"),
    ("[aliases]\nx = 3", "must be a string"),
])
def test_mistakes_name_file_and_place(home: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as e:
        load(home, text)
    assert "registries.conf" in e.value.message and e.value.hint


@pytest.mark.parametrize(("text", "line", "words"), [
    ("\nx = = 1\n", 2, "Invalid value"),
    ("# a\n\nshort-name-mode = 'maybe'", 3, "enforcing, permissive, disabled"),
    ("[[registry]]\nlocation = 'a.example'\n[[registry]]\nlocation = 'b.example'\n  insecure = 1", 5,
     r"registry\[1\]\.insecure must be true or false"),
    ("[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'm'\n[[registry.mirror]]\nlocation = 'http://m'",
     5, r'mirror\[1\] .* write "m"'),
    ("[[registry]]\nlocation = 'a.example'\n[[registry]]\nprefix='x.example'\nlocation='a.example'\nblocked=true", 3,
     "another 'blocked' setting"),
    ("unqualified-search-registries = ['a b']", 1, "no host"),
    ("credential-helpers = 'x'", 1, "credential-helpers must be a list of strings"),
    ("[registries.search]\nregistries = ['a.example']\n[aliases]\n", 1, "old form .* cannot be mixed"),
    ("[[registry]]\nlocation='a.example'\npull-from-mirror='all'", 3, "belongs into a"),
    ("[aliases]\n\n'localhost/x' = 'q.example/y'", 3, "without a registry"),
])
def test_mistakes_are_told_with_their_line(home: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as e:
        load(home, text)
    assert f"registries.conf:{line}: " in e.value.message


def test_unknown_keys_are_told_with_the_nearest_known_one(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(home, "[[registry]]\nlocation = 'x.example'\n[[registry.mirror]]\nlocation = 'm.example'\ninsecur = true\nzzz = 1\n")
    said = capfd.readouterr().err
    assert "registries.conf:5: unknown key registry[0].mirror[0].insecur has no effect: did you mean" in said
    assert "insecure" in said and "registries.conf:6: unknown key registry[0].mirror[0].zzz has no effect" in said


def test_the_first_of_two_tables_for_one_prefix_counts_and_helpers_are_kept(home: Path) -> None:
    conf = load(home, "credential-helpers = ['pass', 'containers-auth.json']\n"
                "[[registry]]\nprefix='p.example'\nlocation='a.example'\n[[registry]]\nprefix='p.example'\nlocation='b.example'\n")
    assert conf.pull_sources("p.example/x", by_digest=False) == [Source("a.example/x", False)]
    assert conf.credential_helpers == ("pass", "containers-auth.json")
