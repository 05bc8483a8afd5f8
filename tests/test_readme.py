"""The README: its catalogue is fresh, and every command in it is one that there is."""

import re
import shlex
from pathlib import Path

import click
import pytest

from audit.cli import main
from audit.listing import END, START, catalogue, with_catalogue

README = Path(__file__).parents[1] / "README.md"
needs_readme = pytest.mark.skipif(not README.is_file(), reason="no README.md yet")


def commands(text):
    """Every ``audit …`` line of the code blocks, continuation lines joined."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|\||(?<!\|)\|(?!\|)", line):
                words = part.removeprefix("$ ").strip()
                if re.match(r"(audit|python -m audit)\s", words):
                    yield words.partition(" #")[0]


def parse(words):
    """Parse a command line as click would, without running it.

    Raises:
        click.ClickException: an unknown command, option or value, or a missing argument.
    """
    rest = shlex.split(words)
    rest = rest[3:] if rest[0] == "python" else rest[1:]
    context = click.Context(main, info_name="audit")
    if not rest or rest[0].startswith("-"):
        return
    _, command, arguments = main.resolve_command(context, rest)
    try:
        command.make_context(rest[0], list(arguments), parent=context)
    except click.BadParameter as error:
        if not isinstance(getattr(error.param, "type", None), click.Path):
            raise  # a file of the reader's, which is not here
    except click.exceptions.Exit:  # --help
        return


@needs_readme
def test_catalogue_is_fresh():
    text = README.read_text(encoding="utf-8")
    assert text == with_catalogue(text, "README.md"), (
        "run python -m audit.listing --write README.md"
    )


@needs_readme
def test_every_command_parses():
    found = list(commands(README.read_text(encoding="utf-8")))
    assert found
    for words in found:
        parse(words)


@pytest.mark.parametrize(
    "words",
    ["audit chek -e x", "audit check --explaner x", "audit check --samples many", "audit explain"],
)
def test_the_parser_finds_slips(words):
    with pytest.raises(click.ClickException):
        parse(words)


def test_commands_are_found_wherever_they_stand():
    text = (
        "audit check no code\n```console\n$ audit check -e x \\\n    --strict # why\n"
        "pip install x && audit list checks\npython -m audit explain P104\nauditor\n```\n"
    )
    assert [" ".join(c.split()) for c in commands(text)] == [
        "audit check -e x --strict",
        "audit list checks",
        "python -m audit explain P104",
    ]


def test_write_brings_the_catalogue_up_to_date(command):
    Path("README.md").write_text(f"before\n{START}\nold\n{END}\nafter\n", encoding="utf-8")
    done = command("list", "catalogue", "--write", "README.md")
    assert done.exit_code == 0
    assert "brought up to date" in done.output
    text = Path("README.md").read_text(encoding="utf-8")
    assert text.startswith(f"before\n{START}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "\n".join(catalogue()) in text
    assert "is up to date" in command("list", "catalogue", "--write", "README.md").output
    Path("README.md").write_text("no markers")
    refused = command("list", "catalogue", "--write", "README.md")
    assert refused.exit_code == 2
    assert START in refused.output
    assert command("list", "checks", "--write", "README.md").exit_code == 2


def test_tables_hold_every_check_and_explainer():
    from audit.explainers.registry import list_explainers
    from principles.catalogue import all_checks

    text = "\n".join(catalogue())
    for check in all_checks():
        assert f"| `{check.id}` {check.name} |" in text
    for one in list_explainers():
        assert f"| `{one.name}` |" in text
    rows = [line for line in catalogue() if line]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in {4, 5} for row in rows)
