"""What ``audit list`` and ``audit explain`` show, and the tables in the documentation.

``audit list catalogue --write README.md`` brings the tables of a file up to date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from audit.config.settings import SettingsError
from audit.nearest_name import nearest_of

if TYPE_CHECKING:
    from audit.explainers.registry import Listed
    from principles.check import Check


def explainers() -> Iterator[str]:
    """Registered explainers with their options."""
    from audit.explainers.registry import list_explainers

    for one in list_explainers():
        notes = [f"needs {one.needs}"] if one.needs else []
        notes += [f"cost {one.cost}"] if one.cost else []
        yield f"{one.name:<28} {one.summary}{' (' + '; '.join(notes) + ')' if notes else ''}"
        if one.modifies:
            twin = f"; without that: {one.faithful_twin}" if one.faithful_twin else ""
            yield f"{'':<28}   modifies: {one.modifies}{twin}"
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
    from audit.models.measured_insides import measured_insides
    from audit.models.model_sources import SOURCES

    insides = measured_insides()
    yield f"{'bundled':<28} the small CLIP that comes with this package"
    for source in SOURCES.values():
        known = source.known()
        if known is None:
            yield f"{source.form:<28} {source.what}"
        elif known or not source.whole:
            levels = Counter(insides.get(source.prefix + name) for name in known)
            yield (
                f"{source.form:<28} {source.what}: {len(known):,} ({_in_words(levels)}), "
                f"'audit list models {source.key}' names them"
            )
    yield ""
    yield "Weights are stated: --pretrained TAG, FILE or random; a folder has its own."
    yield "Full anatomy: every block of the image tower is known, so that heads can be read and"
    yield "removed. Without it the audit goes by scores, gradients and what modules give."
    yield "'audit doctor --model … --pretrained …' asks a model how much of its inside is known."


def models_of(key: str) -> Iterator[str]:
    """The models of one source: what was measured of their inside, and the tags of their weights.

    Raises:
        SettingsError: no such source, or one that cannot be listed.
    """
    from audit.models.measured_insides import measured_insides
    from audit.models.model_sources import SOURCES

    insides = measured_insides()
    listed = {k: s for k, s in SOURCES.items() if s.names}
    if key not in listed:
        raise SettingsError(nearest_of("source of models", key, listed))
    for name, tags in (listed[key].known() or {}).items():
        whole = f"{listed[key].prefix}{name}"
        yield f"{whole:<36} {insides.get(whole, ''):<6} {', '.join(tags)}".rstrip()


def _in_words(levels: Counter[str | None]) -> str:
    """How many of a source were measured, and how many of them are known in full."""
    measured = levels.total() - levels[None]
    return f"of {measured} measured, {levels['full']} have full anatomy"


def datasets() -> Iterator[str]:
    """Where data come from, and what each source reads."""
    from audit.data.data_plugins import plugins
    from audit.data.data_sources import SOURCES

    yield f"{'bundled':<32} scenes drawn by this package, with exact masks"
    for source in SOURCES.values():
        needs = f" (needs the extra {source.extra})" if source.extra else ""
        yield f"{source.form:<32} {source.what}{needs}"
    for name, point in sorted(plugins().items()):
        yield f"{name:<32} {point.value}"
    yield ""
    yield "Pictures with labels and no masks are composed into grids of 2×2, whose cells are the"
    yield "masks: --grid N for other grids, --grid off for none. See docs/data.md."


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

    yield "| explainer | what it does | options | needs | cost | modifies |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in list_explainers():
        options = ", ".join(f"`{o.name}={o.allowed}`" for o in one.options)
        yield _row(f"`{one.name}`", one.summary, options, one.needs, one.cost, one.modifies)


def quality() -> Iterator[str]:
    """Measures of map quality: what each needs, its range and direction, and what it costs."""
    from audit.metrics.quality_table import MEASURES, NEEDS, USUAL

    for one in MEASURES:
        role = "may decide" if one.may_decide else f"of the family {one.family}"
        yield (
            f"{one.name:<28} {one.title}: {one.span}, {_direction(one.better)}; needs "
            f"{NEEDS[one.needs]}; {role}{f'; {one.cost}' if one.cost else ''}"
        )
        yield f"{'':<28}   {one.source}; {one.differs}"
    yield ""
    yield f"Without --quality it is {','.join(USUAL)}; on grids grid-pointing is beside them."
    yield "The first that is named decides; the name of a family stands for all of it."
    yield "F and B are a forward and a backward pass of the model, E a run of the explainer."


def quality_table() -> Iterator[str]:
    """Measures of map quality as a Markdown table."""
    from audit.metrics.quality_table import MEASURES, NEEDS

    yield "| measure | range, better | needs | decides | cost | source | differs |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in MEASURES:
        decides = "may" if one.may_decide else f"no; family `{one.family}`"
        yield _row(
            f"`{one.name}` {one.title}",
            f"{one.span}; {_direction(one.better)}",
            NEEDS[one.needs],
            decides,
            one.cost,
            one.source,
            one.differs,
        )


def _direction(better: str) -> str:
    return "no direction" if better == "neither" else f"{better} is better"


def catalogue() -> Iterator[str]:
    """Checks and explainers as Markdown tables."""
    yield from check_table()
    yield ""
    yield from explainer_table()
    yield ""
    yield from quality_table()


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "checks": check_table,
    "explainers": explainer_table,
    "quality": quality_table,
}
LISTS: dict[str, Callable[[], Iterator[str]]] = {
    "explainers": explainers,
    "checks": checks,
    "models": models,
    "datasets": datasets,
    "quality": quality,
    "catalogue": catalogue,
}


def explained(name: str) -> str:
    """The own documentation of a check or an explainer.

    Raises:
        SettingsError: there is none of that name.
    """
    from audit.explainers.known_names import registered
    from principles.catalogue import all_checks

    checks_by_id = {check.id: check for check in all_checks()}
    if name.upper() in checks_by_id:
        return _explained_check(checks_by_id[name.upper()])
    known = [*checks_by_id, *registered()]
    if name not in known:
        asked = name.upper() if name[1:].isdigit() else name
        raise SettingsError(nearest_of("check or explainer", asked, known))
    from audit.explainers.registry import list_explainers

    return _explained_explainer(next(one for one in list_explainers() if one.name == name))


def _explained_check(check: Check) -> str:
    lines = [f"{check.id} {check.name} (severity {check.severity.value})", check.title, ""]
    for section, text in check.documentation.items():
        lines += [f"{section}:", f"  {text}", ""]
    if check.thresholds:
        lines += [f"Thresholds: {', '.join(f'{k} = {v}' for k, v in check.thresholds.items())}", ""]
    return "\n".join([*lines, f"Reference: {check.reference}"])


def _explained_explainer(one: Listed) -> str:
    lines = [one.name, one.description or one.summary, ""]
    for option in one.options:
        default = "required" if option.default is None else f"default {option.default}"
        lines.append(f"Option {option.name}={option.allowed} ({default})")
    facts = {
        "Cost of a map": one.cost and f"{one.cost} (F: forward pass, B: backward pass)",
        "Needs": one.needs,
        "Modifies": one.modifies or (one.cost and "nothing of the model's own computation"),
        "Without that": one.faithful_twin,
        "Depends on the text": "" if one.text_specific else "no, by design",
        "Looks at the model": "no, it is a control" if one.model_free else "",
    }
    return "\n".join([*lines, *(f"{what}: {text}" for what, text in facts.items() if text)])


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
    if not any(f"<!-- {name}:start -->" in text for name in TABLES):
        raise SettingsError(
            f"{place}: expected the markers <!-- checks:start --> and <!-- checks:end -->, or "
            "those of explainers or quality, each on its own line"
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
