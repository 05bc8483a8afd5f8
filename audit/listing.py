"""What ``audit list`` and ``audit explain`` show, and the catalogue in the README.

``python -m audit.listing --write README.md`` brings the README's catalogue up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from audit.config import SettingsError
from audit.gate.words import nearest_of

START, END = "<!-- catalogue:start -->", "<!-- catalogue:end -->"


def explainers() -> Iterator[str]:
    """Registered explainers with their options."""
    from audit.explainers.registry import list_explainers

    for one in list_explainers():
        yield f"{one.name:<28} {one.summary}"
        for option in one.options:
            default = "required" if option.default is None else f"default {option.default}"
            yield f"{'':<28}   --option {option.name}={option.allowed} ({default})"


def checks() -> Iterator[str]:
    """All checks."""
    from principles.catalogue import all_checks

    for one in all_checks():
        yield f"{one.id}  {one.name:<36} {one.severity.value:<8} {one.title}"


def models() -> Iterator[str]:
    """Models that open_clip can build."""
    import open_clip

    yield "bundled                      the small CLIP that comes with this package"
    yield "local-dir:FOLDER             a folder with open_clip_config.json and weights"
    for name in open_clip.list_models():
        yield f"{name:<28} {', '.join(open_clip.list_pretrained_tags_by_model(name))}"


def datasets() -> Iterator[str]:
    """Kinds of data."""
    yield "bundled                      scenes drawn by this package, with exact masks"
    yield "FILE.csv, FILE.parquet       a manifest: image; label or text; mask or x0,y0,x1,y1; id"
    yield "FOLDER                       a folder with manifest.csv or manifest.parquet"


def catalogue() -> Iterator[str]:
    """Checks and explainers as Markdown tables, for the README."""
    from audit.explainers.registry import list_explainers
    from principles.catalogue import all_checks

    yield "| check | asks | weight | needs |"
    yield "| --- | --- | --- | --- |"
    for check in all_checks():
        needs = ", ".join(sorted(check.needs))
        yield _row(f"`{check.id}` {check.name}", check.title, check.severity.value, needs)
    yield ""
    yield "| explainer | what it does | options |"
    yield "| --- | --- | --- |"
    for one in list_explainers():
        options = ", ".join(f"`{o.name}={o.allowed}`" for o in one.options)
        yield _row(f"`{one.name}`", one.summary, options)


LISTS: dict[str, Callable[[], Iterator[str]]] = {
    "explainers": explainers,
    "checks": checks,
    "models": models,
    "datasets": datasets,
    "catalogue": catalogue,
}


def explained(check_id: str) -> str:
    """A check's own documentation.

    Raises:
        SettingsError: no such check.
    """
    from principles.catalogue import all_checks

    every = {check.id: check for check in all_checks()}
    check = every.get(check_id.upper())
    if check is None:
        raise SettingsError(nearest_of("check", check_id.upper(), every))
    lines = [f"{check.id} {check.name} (severity {check.severity.value})", check.title, ""]
    for section, text in check.documentation.items():
        lines += [f"{section}:", f"  {text}", ""]
    if check.thresholds:
        lines += [f"Thresholds: {', '.join(f'{k} = {v}' for k, v in check.thresholds.items())}", ""]
    return "\n".join([*lines, f"Reference: {check.reference}"])


def with_catalogue(text: str, place: str) -> str:
    """A Markdown text with the catalogue between its markers brought up to date.

    Raises:
        SettingsError: the markers are missing.
    """
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not start or not end:
        raise SettingsError(
            f"{place}: expected the markers {START} and {END}, each on its own line"
        )
    table = "\n".join(catalogue())
    return f"{head}{START}\n\n{table}\n\n{END}{tail}"


def write_catalogue(path: Path) -> bool:
    """Bring the catalogue of a Markdown file up to date; whether anything changed.

    Raises:
        SettingsError: the markers are missing.
        OSError: the file cannot be read or written.
    """
    old = path.read_text(encoding="utf-8")
    new = with_catalogue(old, str(path))
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    import sys

    from audit.cli import main

    main(["list", "catalogue", *sys.argv[1:]])
