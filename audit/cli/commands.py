"""The command line; the only file that prints and exits. Imports torch only when work begins."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from audit import __version__
from audit.cli import shared_options as words
from audit.cli.printing import say, say_lines, say_message
from audit.errors import USAGE, ending, is_usage

if TYPE_CHECKING:
    from audit.result.schema import Result

VIOLATED = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="audit")
def main() -> None:
    """Audit an explainer: does its saliency map explain the model that it claims to explain?"""


@main.command()
@click.option("--explainer", "-e", help="A registered name, FILE.py:FUNCTION or MODULE:FUNCTION.")
@words.options_option
@words.model_options
@words.ladder_option
@words.data_options
@words.judging_options
@words.gate_options
@words.output_options
@click.option("--show-settings", is_flag=True, help="Print the settings and stop.")
@click.option("--settings-schema", is_flag=True, help="Print their JSON schema and stop.")
def check(*, show_settings: bool, settings_schema: bool, **given: Any) -> None:
    """Audit an explainer; the exit code is the gate.

    0 no violation, 1 violations, 2 wrong usage or settings, 3 the audit could not be completed.
    """
    with _exit_codes():
        from audit.config import settings as config

        if settings_schema:
            _say_json(config.settings_schema())
            return
        settings = config.load_settings(given)
        if show_settings:
            _say_json(settings.model_dump(mode="json"))
            return
        from audit.engine.checking import check_explainer

        result, note = check_explainer(settings)
    _show(result, Path(settings.out), settings.formats)
    if note:
        say_message(f"note: {note}")
    sys.exit(result.exit_code)


@main.command("list")
@click.argument("what", type=click.Choice(list(words.LISTED)))
@click.option("--write", metavar="FILE", help="Write the catalogue between a file's markers.")
def list_(what: str, write: str | None) -> None:
    """List explainers, checks, models or datasets.

    The catalogue is checks and explainers as Markdown; --write brings a file up to date.
    """
    with _exit_codes():
        from audit.engine import listing

        if write is None:
            say("\n".join(listing.LISTS[what]()))
            return
        if what != "catalogue":
            _fail(f"--write goes with 'audit list catalogue', not with '{what}'")
        changed = listing.write_catalogue(Path(write))
    say(f"{write}: {'brought up to date' if changed else 'is up to date'}")


@main.command()
@click.argument("check_id", metavar="CHECK")
def explain(check_id: str) -> None:
    """Explain a check.

    What it does, why it matters, what a pass does not show.
    """
    with _exit_codes():
        from audit.engine import listing

        say(listing.explained(check_id))


@main.command()
@click.argument("result", type=words.result_file, required=False)
@click.option("--latest", is_flag=True, help="The newest result of the history.")
@click.option("--explainer", "-e", help="With --latest: of this explainer.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder; default beside the result, or .audit/report.",
)
@words.formats_option
def report(
    *,
    result: str | None,
    latest: bool,
    explainer: str | None,
    out: Path | None,
    formats: tuple[str, ...],
) -> None:
    """Render a result again."""
    with _exit_codes():
        from audit.reports.output import known_formats, writable, write_reports

        if (result is None) != latest:
            _fail("expected either a RESULT.json or --latest")
        if explainer and not latest:
            _fail("--explainer chooses from the history: give --latest with it, or leave it out")
        formats = formats or ("html",)
        known_formats(formats)
        path = _latest(explainer) if result is None else Path(result)
        document = _load(path)
        folder = writable(out or (Path(".audit", "report") if latest else path.parent))
        write_reports(document, folder, formats)
    _show(document, folder, formats)


def _latest(explainer: str | None) -> Path:
    from audit.gate.history import latest

    return latest(Path.cwd(), explainer)


@main.command()
@click.option("--explainer", "-e", help="Only of this explainer.")
@click.option("--add", multiple=True, type=words.result_file, help="Keep this result; repeatable.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the trend.")
@click.option(
    "--last", type=click.IntRange(min=1), default=50, show_default=True, help="Audits in the trend."
)
@click.option("--commit-url", default="", help="Address of a commit, {} for its hash.")
def history(
    *, explainer: str | None, add: tuple[str, ...], html: Path | None, last: int, commit_url: str
) -> None:
    """List earlier audits, or write their trend.

    Newest last. With --html, the verdicts, quality and accuracy of one explainer over its audits
    as one offline page.
    """
    with _exit_codes():
        from audit.gate import history as past

        for path in add:
            past.keep(_load(Path(path)), Path.cwd())
        if html is None:
            lines = [past.shown(entry) for entry in past.entries(Path.cwd(), explainer)]
            say_lines(lines or [past.nothing(Path(), explainer)])
            return
        from audit.engine.trend import write_trend
        from audit.reports.output import writable

        writable(html.parent, "--html")
        shown = write_trend(html, Path.cwd(), explainer, last=last, commit_url=commit_url)
    say(f"{html}: the trend over {shown} audit{'' if shown == 1 else 's'}")


@main.command()
@click.option("--explainer", "-e", default="grad-attention", show_default=True)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def init(*, explainer: str, force: bool) -> None:
    """Write an audit.toml and a CI workflow."""
    with _exit_codes():
        from audit.engine.project_start import start

        written = start(Path(), explainer, force=force)
    for path in written:
        say(f"wrote {path}")
    say("now try: audit check")


@main.command("map")
@click.option("--explainer", "-e", required=True)
@words.options_option
@click.option("--image", required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("map.png"), show_default=True)
@words.model_options
def map_(
    explainer: str, options: dict[str, str], image: str, text: str, out: Path, **given: Any
) -> None:
    """Draw the map of your own picture and text."""
    with _exit_codes():
        from audit.engine.overlay import write_overlay
        from audit.reports.output import writable

        writable(out.parent)
        known = {key: value for key, value in given.items() if value is not None}
        score = write_overlay(explainer, options, Path(image), text, out, known)
    say(f"{out}: cosine {score:.4f}")


@main.command()
@click.argument("one")
@click.argument("other")
@click.option("--samples", type=int, default=64, show_default=True)
@words.model_options
def equivalence(one: str, other: str, samples: int, **given: Any) -> None:
    """Compare the maps of two explainers.

    On every pair; exit 1 where they differ.
    """
    with _exit_codes():
        from audit.config.settings import load_settings
        from audit.engine.equivalence import compare_explainers

        settings = load_settings({**given, "explainer": one, "samples": samples})
        found = compare_explainers(settings, other)
    say(found.sentence)
    sys.exit(0 if found.equivalent else VIOLATED)


@main.command()
@click.argument("old", type=words.result_file)
@click.argument("new", type=words.result_file)
@click.option("--strict", is_flag=True, help="Lower quality of the maps fails as well.")
@click.option("--fail-on", type=click.Choice(["error", "warning"]), default="error")
def compare(*, old: str, new: str, strict: bool, fail_on: str) -> None:
    """Compare the results of two releases.

    Exit 1 where a verdict got worse.

    Lines with ! fail; lines with ~ got worse and do not fail, being warnings, waived, or lower
    quality without --strict.
    """
    with _exit_codes():
        from audit.engine.comparison import compare_results
        from audit.result.schema import Severity

        one, two = _load(Path(old)), _load(Path(new))
        found = compare_results(one, two, fail_on=Severity(fail_on), strict=strict)
    say_lines(found.lines)
    sys.exit(VIOLATED if found.worse else 0)


def _load(path: Path) -> Result:
    from audit.result.document import load_result

    return load_result(path.read_text(encoding="utf-8"))


def _say_json(document: object) -> None:
    import json

    say(json.dumps(document, indent=2))


def _show(result: Result, folder: Path, formats: tuple[str, ...]) -> None:
    from rich.console import Console

    from audit.reports.formats import FORMATS
    from audit.reports.terminal import render_terminal

    shown = "html" if "html" in formats else next(iter(formats), "json")
    path = folder / FORMATS[shown].file_name
    Console(soft_wrap=False).print(render_terminal(result, path))
    if "github" in formats:
        click.echo(FORMATS["github"].render(result))


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Whatever happens ends with a message and its exit code, never with 1 by accident."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nothing may exit with 1
        if not is_usage(error):
            say(traceback.format_exc(), err=True)
        _fail(*ending(error))


def _fail(message: str, code: int = USAGE) -> NoReturn:
    say_message(message)
    sys.exit(code)
