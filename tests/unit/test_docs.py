"""Documents name things that exist: commands, files, packages."""

import re
from pathlib import Path

import pytest

from podlike.cli.commands import COMMANDS

REPO = Path(__file__).parents[2]
PAGES = [REPO / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((REPO / "docs").glob("*.md"))


def test_commands_in_the_readme_exist() -> None:
    text = (REPO / "README.md").read_text()
    # Lines of code blocks: four blanks, then the command.
    used = set(re.findall(r"^    (?:\$ )?podlike ([a-z]+)", text, re.M)) | set(re.findall(r"`podlike ([a-z]+)", text))
    assert used, "the README shows no command"
    assert sorted(used - set(COMMANDS[""])) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        if not (page.parent / target).exists():
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:contrib|docs|tests|podlike|libspawn|conmon-c)/[\w./-]*\w)`", page.read_text())
    made = {"podlike/libexec"}  # by the build
    assert [path for path in named if path not in made and not (REPO / path).exists()] == []


def test_package_list_is_well_formed() -> None:
    rows = [line.split(None, 2) for line in (REPO / "contrib/packages").read_text().splitlines() if not line.startswith("#")]
    assert all(len(row) == 3 and row[0] in ("build", "run", "test", "fuzz", "vm", "guest") for row in rows)
    # The test VM is another machine, with packages of its own.
    for names in ([row[1] for row in rows if row[0] != "guest"], [row[1] for row in rows if row[0] == "guest"]):
        assert len(names) == len(set(names))
