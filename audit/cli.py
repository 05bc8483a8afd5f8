"""The command line; the only file that prints and exits. Imports torch only when work begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from audit import __version__

if TYPE_CHECKING:
    from audit.result import Result

USAGE, INCOMPLETE = 2, 3


def _pairs_of(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``key=value`` words as a dictionary."""
    found = {}
    for word in values:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected KEY=VALUE, got '{word}'", param=parameter)
        found[key] = value
    return found


def _words(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Words that may also be joined by commas."""
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose model, data and device."""
    for option in reversed(
        (
            click.option("--model", help="bundled, an open_clip architecture, or local-dir:FOLDER."),
            click.option("--pretrained", help="A tag of open_clip or a checkpoint file."),
            click.option("--seed", type=int, help="Seed of every random choice."),
            click.option("--device", help="cpu, cuda, cuda:1, …"),
            click.option(
                "--dtype", type=click.Choice(["float32", "float64", "float16", "bfloat16"])
            ),
        )
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="audit")
def main() -> None:
    """Audit an explainer: does its saliency map explain the model that it claims to explain?"""


@main.command()
@click.option("--explainer", "-e", help="A registered name, FILE.py:FUNCTION or MODULE:FUNCTION.")
@click.option(
    "--option", "options", multiple=True, callback=_pairs_of, metavar="KEY=VALUE",
    help="Option of the explainer; repeatable.",
)
@model_options
@click.option("--data", help="bundled, or a manifest: a CSV or Parquet file, or its folder.")
@click.option("--template", help="Prompt of a label of a manifest, with one {}.")
@click.option("--samples", type=int, help="Number of pairs.")
@click.option("--out", type=click.Path(path_type=str), help="Folder of report and evidence.")
@click.option(
    "--format", "formats", multiple=True, callback=_words, metavar="NAME[,NAME]",
    help="html, json, sarif, junit, markdown, github.",
)
@click.option(
    "--select", "--only", "select", multiple=True, callback=_words, metavar="CHECK",
    help="Only these checks, such as P104, or P1 for all of principle 1.",
)
@click.option("--ignore", multiple=True, callback=_words, metavar="CHECK", help="Not these checks.")
@click.option(
    "--severity", multiple=True, callback=_pairs_of, metavar="CHECK=error|warning",
    help="Severity of a check.",
)
@click.option(
    "--threshold", "thresholds", multiple=True, callback=_pairs_of, metavar="CHECK.NAME=VALUE",
    help="A threshold of a check, such as P201.correlation=0.6.",
)
@click.option("--fail-on", type=click.Choice(["error", "warning"]), help="Severity that fails.")
@click.option("--strict", is_flag=True, default=None, help="INCONCLUSIVE fails as well.")
@click.option("--resume/--no-resume", default=None, help="Use finished evidence of the same audit.")
@click.option("--from-evidence", type=click.Path(), help="Judge saved evidence again, no model.")
@click.option("--pair", help="Only this pair.")
@click.option("--profile", type=click.Choice(["quick", "default", "full"]))
@click.option("--show-settings", is_flag=True, help="Print the settings and stop.")
def check(show_settings: bool, thresholds: dict[str, str], **given: Any) -> None:  # noqa: ANN401, FBT001
    """Check an explainer against the principles; the exit code gates a release.

    0 no violation, 1 violations, 2 wrong usage or settings, 3 the audit could not be completed.
    """
    with _usage_errors():
        from audit.config import load_settings

        settings = load_settings({**given, "thresholds": _thresholds(thresholds)})
        if show_settings:
            click.echo(settings.model_dump_json(indent=2))
            return
        if not settings.explainer and not settings.from_evidence:
            _fail("no explainer given; use --explainer NAME ('audit list explainers' shows all)")
        _check_formats(settings.formats)
        out = _writable(Path(settings.out))
        if settings.from_evidence:
            from audit.rejudging import rejudge

            result = rejudge(Path(settings.from_evidence), settings)
        else:
            result = _run(settings)
        _write(result, out, settings.formats)
    _print(result, out, settings.formats)
    sys.exit(result.exit_code)


def _run(settings: Any) -> Result:  # noqa: ANN401 - Settings, imported lazily
    from audit.engine import run_audit
    from audit.progress import progress_bars

    try:
        with progress_bars() as progress:
            return run_audit(settings, progress).result
    except KeyboardInterrupt:
        click.echo(
            f"\ninterrupted; finished evidence is kept in '{settings.out}/evidence', the same "
            "command goes on from there",
            err=True,
        )
        sys.exit(INCOMPLETE)


@main.command("list")
@click.argument("what", type=click.Choice(["explainers", "checks", "models", "datasets"]))
def list_(what: str) -> None:
    """List explainers, checks, models or datasets."""
    from audit import listing

    for line in listing.LISTS[what]():
        click.echo(line)


@main.command()
@click.argument("check_id", metavar="CHECK")
def explain(check_id: str) -> None:
    """Explain a check: what it does, why it matters, what a pass does not show."""
    with _usage_errors():
        from audit import listing

        click.echo(listing.explained(check_id))


@main.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default beside the result.")
@click.option("--format", "formats", multiple=True, callback=_words, default=("html",))
def report(result: Path, out: Path | None, formats: tuple[str, ...]) -> None:
    """Render a result again."""
    with _usage_errors():
        from audit.reports.json import load_result

        _check_formats(formats)
        document = load_result(result.read_text(encoding="utf-8"))
        folder = _writable(out or result.parent)
        _write(document, folder, formats)
    _print(document, folder, formats)


@main.command("map")
@click.option("--explainer", "-e", required=True)
@click.option("--option", "options", multiple=True, callback=_pairs_of, metavar="KEY=VALUE")
@click.option("--image", "image", required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("map.png"), show_default=True)
@model_options
def map_(
    explainer: str, options: dict[str, str], image: str, text: str, out: Path, **given: Any  # noqa: ANN401
) -> None:
    """Write an overlay of the map of your own picture and text."""
    with _usage_errors():
        from audit.overlay import write_overlay

        known = {key: value for key, value in given.items() if value is not None}
        score = write_overlay(explainer, options, Path(image), text, out, known)
    click.echo(f"{out}: cosine {score:.4f}")


@main.command()
@click.argument("one")
@click.argument("other")
@click.option("--samples", type=int, default=64, show_default=True)
@model_options
def equivalence(one: str, other: str, samples: int, **given: Any) -> None:  # noqa: ANN401
    """Compare the maps of two explainers on every pair; exit 1 where they differ."""
    with _usage_errors():
        from audit.config import load_settings
        from audit.equivalence import compare_explainers

        settings = load_settings({**given, "explainer": one, "samples": samples})
        found = compare_explainers(settings, other)
    click.echo(found.sentence)
    sys.exit(0 if found.equivalent else 1)


@main.command()
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(old: Path, new: Path) -> None:
    """Compare the results of two releases; exit 1 where a verdict got worse."""
    with _usage_errors():
        from audit.comparison import compare_results
        from audit.reports.json import load_result

        found = compare_results(
            load_result(old.read_text(encoding="utf-8")),
            load_result(new.read_text(encoding="utf-8")),
        )
    for line in found.lines:
        click.echo(line)
    sys.exit(1 if found.worse else 0)


def _thresholds(words: dict[str, str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key, value in words.items():
        check_id, dot, name = key.partition(".")
        try:
            number = float(value)
        except ValueError:
            _fail(f"--threshold {key}: expected a number, got '{value}'")
        if not dot:
            _fail(f"--threshold: expected CHECK.NAME=VALUE, got '{key}={value}'")
        found.setdefault(check_id.upper(), {})[name] = number
    return found


def _check_formats(names: tuple[str, ...]) -> None:
    from audit.reports.formats import FORMATS

    for name in names:
        if name not in FORMATS:
            _fail(f"unknown format '{name}'; known: {', '.join(FORMATS)}")


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".audit-write-test"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        _fail(f"cannot write to the folder '{folder}': {error.strerror}; choose another --out")
    return folder


def _write(result: Result, folder: Path, formats: tuple[str, ...]) -> None:
    from audit.reports.formats import FORMATS

    for name in dict.fromkeys((*formats, "json")):
        text = FORMATS[name].render(result)
        path = folder / FORMATS[name].file_name
        part = path.with_suffix(path.suffix + ".part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)


def _print(result: Result, folder: Path, formats: tuple[str, ...]) -> None:
    from rich.console import Console

    from audit.reports.formats import FORMATS
    from audit.reports.terminal import render_terminal

    Console(soft_wrap=False).print(render_terminal(result, folder / FORMATS[formats[0]].file_name))
    if "github" in formats:
        click.echo(FORMATS["github"].render(result))


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Wrong usage ends with its message and exit code 2; it is never a traceback."""
    try:
        yield
    except (ValueError, OSError, TypeError) as error:
        if not _is_ours(error):
            raise
        _fail(str(error))


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.startswith("audit") or isinstance(error, OSError)


def _fail(message: str) -> NoReturn:
    click.echo(f"audit: {message}", err=True)
    sys.exit(USAGE)
