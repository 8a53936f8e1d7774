"""docs/reference/commands.md: every command and option, with the text of its help."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from frontrow.cli.main import main

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/reference/commands.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DATABASE = ("data_dir", "database_url")


def commands(of: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yields each command that isn't a group, with its full name."""
    if isinstance(of, click.Group):
        for part, command in of.commands.items():
            yield from commands(command, f"{name} {part}")
    else:
        yield name, of


COMMANDS = dict(commands(main, "frontrow"))


def options(command: click.Command) -> list[click.Option]:
    """Returns a command's options, without those that name the database."""
    found = [one for one in command.params if isinstance(one, click.Option)]
    return [one for one in found if one.name not in DATABASE]


def row(one: click.Option) -> str:
    """Returns the row that the table must have for an option."""
    value = "" if one.is_flag else f" {one.make_metavar(click.Context(main))}"
    written = f"{one.opts[0]}{value}".replace("|", r"\|")
    variable = f"`{one.envvar}`" if one.envvar else ""
    return f"| `{written}` | {variable} | {one.help} |"


def section(name: str) -> str:
    """Returns the part of the document about a command."""
    return DOCUMENT.partition(f"\n### `{name}")[2].partition("\n##")[0]


def test_every_command_has_a_section() -> None:
    """Each once, with its arguments, and no other."""
    headings = re.findall(r"^### `(frontrow [^`]+)`$", DOCUMENT, re.MULTILINE)
    usages = []
    for name, command in COMMANDS.items():
        context = click.Context(command)
        arguments = [
            one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)
        ]
        usages.append(" ".join([name, *arguments]))
    assert sorted(headings) == sorted(usages)


@pytest.mark.parametrize("name", COMMANDS)
def test_section_has_the_text_of_the_help(name: str) -> None:
    """What the command does, each option once, and whether it takes the database's options."""
    command, text = COMMANDS[name], section(name)
    assert " ".join((command.help or "").split("\n\n")[0].split()) in " ".join(text.split())
    assert [line for line in text.splitlines() if line.startswith("| `")] == [
        row(one) for one in options(command)
    ]
    takes_database = any(one.name in DATABASE for one in command.params)
    assert ("[the database](#the-database)" in text) == takes_database


def test_options_of_the_database_are_explained_once() -> None:
    """In a section of their own."""
    shared = [one for one in COMMANDS["frontrow serve"].params if one.name in DATABASE]
    text = DOCUMENT.partition("\n## The database\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [row(one) for one in shared if isinstance(one, click.Option)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_commands_exist(page: Path) -> None:
    """``frontrow …`` and ``make …`` in the code of a page."""
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    targets = set(phony.split())
    text = page.read_text()
    code = "\n".join(re.findall(r"^```.*?^```$|`[^`\n]+`", text, re.MULTILINE | re.DOTALL))
    parts = {part for name in COMMANDS for part in name.split()[1:2]}
    for word in re.findall(r"(?:^|`|bin/|\n)frontrow ([a-z][a-z-]*)", code):
        assert word in parts, f"frontrow {word}"
    for word in re.findall(r"(?:^|`|\n)make ([a-z][a-z-]*)", code):
        assert word in targets, f"make {word}"
