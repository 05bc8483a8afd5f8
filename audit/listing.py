"""What ``audit list`` and ``audit explain`` show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from audit.config import SettingsError


def explainers() -> Iterator[str]:
    """Registered explainers with their options."""
    from audit.explainers.registry import list_explainers

    for one in list_explainers():
        yield f"{one.name:<28} {one.summary}"
        for option in one.options:
            values = "|".join(option.choices) if option.choices else option.kind
            yield f"{'':<28}   --option {option.name}={values} (default {option.default})"


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


LISTS: dict[str, Callable[[], Iterator[str]]] = {
    "explainers": explainers,
    "checks": checks,
    "models": models,
    "datasets": datasets,
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
        raise SettingsError(f"no check '{check_id}'; known: {', '.join(every)}")
    lines = [f"{check.id} {check.name} (severity {check.severity.value})", check.title, ""]
    for section, text in check.documentation.items():
        lines += [f"{section}:", f"  {text}", ""]
    if check.thresholds:
        lines += [f"Thresholds: {', '.join(f'{k} = {v}' for k, v in check.thresholds.items())}", ""]
    return "\n".join([*lines, f"Reference: {check.reference}"])
