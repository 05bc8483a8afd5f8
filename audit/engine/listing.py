"""What ``audit list`` and ``audit explain`` show, and the tables in the documentation.

``audit list catalogue --write README.md`` brings the tables of a file up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from audit.config.settings import SettingsError
from audit.nearest_name import nearest_of


def explainers() -> Iterator[str]:
    """Registered explainers with their options."""
    from audit.explainers.registry import list_explainers

    for one in list_explainers():
        needs = f" (needs {one.needs})" if one.needs else ""
        yield f"{one.name:<28} {one.summary}{needs}"
        for option in one.options:
            default = "required" if option.default is None else f"default {option.default}"
            yield f"{'':<28}   --option {option.name}={option.allowed} ({default})"


def checks() -> Iterator[str]:
    """All checks."""
    from principles.catalogue import all_checks

    for one in all_checks():
        yield f"{one.id}  {one.name:<36} {one.severity.value:<8} {one.title}"


def models() -> Iterator[str]:
    """Where models come from, and how many there are."""
    from audit.models.model_sources import SOURCES

    yield f"{'bundled':<28} the small CLIP that comes with this package"
    for source in SOURCES.values():
        known = source.known()
        if known is None:
            yield f"{source.form:<28} {source.what}"
        elif known or not source.whole:
            yield (
                f"{source.form:<28} {source.what}: {len(known):,}, "
                f"'audit list models {source.key}' names them"
            )
    yield ""
    yield "Weights are stated: --pretrained TAG, FILE or random; a folder has its own."
    yield "'audit doctor --model … --pretrained …' says how deeply one can be audited: with full"
    yield "anatomy where every block of its image tower is known, as in most transformers, else by"
    yield "scores, gradients and what its modules give."


def models_of(key: str) -> Iterator[str]:
    """The models of one source, with the tags of their weights.

    Raises:
        SettingsError: no such source, or one that cannot be listed.
    """
    from audit.models.model_sources import SOURCES

    listed = {k: s for k, s in SOURCES.items() if s.names}
    if key not in listed:
        raise SettingsError(nearest_of("source of models", key, listed))
    for name, tags in (listed[key].known() or {}).items():
        yield f"{listed[key].prefix}{name:<28} {', '.join(tags)}"


def datasets() -> Iterator[str]:
    """Kinds of data."""
    yield "bundled                      scenes drawn by this package, with exact masks"
    yield "FILE.csv, FILE.parquet       a manifest: image; label or text; mask or x0,y0,x1,y1; id"
    yield "FOLDER                       a folder with manifest.csv or manifest.parquet"


def check_table() -> Iterator[str]:
    """Checks as a Markdown table."""
    from principles.catalogue import all_checks

    yield "| check | asks | severity |"
    yield "| --- | --- | --- |"
    for check in all_checks():
        yield _row(f"`{check.id}` {check.name}", check.title, check.severity.value)


def explainer_table() -> Iterator[str]:
    """Explainers as a Markdown table."""
    from audit.explainers.registry import list_explainers

    yield "| explainer | what it does | options | needs |"
    yield "| --- | --- | --- | --- |"
    for one in list_explainers():
        options = ", ".join(f"`{o.name}={o.allowed}`" for o in one.options)
        yield _row(f"`{one.name}`", one.summary, options, one.needs)


def catalogue() -> Iterator[str]:
    """Checks and explainers as Markdown tables."""
    yield from check_table()
    yield ""
    yield from explainer_table()


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "checks": check_table,
    "explainers": explainer_table,
}
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
    """A Markdown text with every table between its markers brought up to date.

    Raises:
        SettingsError: there are no markers, or one of a pair is missing.
    """
    found = text
    for name, table in TABLES.items():
        start, end = (f"<!-- {name}:{edge} -->" for edge in ("start", "end"))
        head, begun, rest = found.partition(start)
        _, ended, tail = rest.partition(end)
        if bool(begun) != bool(ended):
            raise SettingsError(f"{place}: expected both {start} and {end}, each on its own line")
        if begun:
            rows = "\n".join(table())
            found = f"{head}{start}\n\n{rows}\n\n{end}{tail}"
    if "<!-- checks:start -->" not in text and "<!-- explainers:start -->" not in text:
        raise SettingsError(
            f"{place}: expected the markers <!-- checks:start --> and <!-- checks:end -->, or "
            "those of explainers, each on its own line"
        )
    return found


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
