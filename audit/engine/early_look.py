"""A look at what was asked for, before torch is imported: slips of the pen are answered at once."""

from __future__ import annotations

from collections.abc import Sequence

from audit.config.settings import Settings, SettingsError
from audit.data.data_sources import expect_known_data
from audit.engine.gate_inputs import load_gate
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.ray_settings import ray_address
from audit.explainers.built_in import BUILT_IN, affordable
from audit.explainers.written_explainers import expect_written
from audit.former_names import present_explainer
from audit.judging.selection import selected_checks
from audit.judging.written_checks import expect_known_checks
from audit.metrics.quality_choice import chosen_measures
from audit.models.written_models import expect_written_ladder, expect_written_model


def expect_known(settings: Settings, live: LiveObjects = NOTHING, also: Sequence[str] = ()) -> None:
    """Refuse names that stand for nothing, as far as that can be told without importing anything.

    The rest is told by the process that loads them.

    Args:
        settings: of an audit.
        live: objects in the place of what the settings name.
        also: other explainers, by name.

    Raises:
        ValueError: an explainer, option, model, tag, file of data, check, threshold, measure,
            waiver, baseline, or cluster that there is not (subclasses say which).
    """
    if settings.explainer and live.explainer is None:
        expect_written(settings.explainer, settings.options)
    for other in also:
        expect_written(other)
    expect_known_checks(settings)
    if settings.thresholds or settings.waivers or settings.baseline:
        load_gate(settings, selected_checks(settings))
    chosen_measures(settings.quality)
    if settings.engine == "ray":
        ray_address(settings, live)
    if live.model is None:
        expect_written_model(settings.model, settings.pretrained, settings.device)
    expect_written_ladder(settings.ladder)
    if live.data is None:
        expect_known_data(settings.data)
    else:
        _expect_samples(live)


def expect_others(
    one: str, names: Sequence[str], *, every: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an explainer is compared with, under present names, and a note for each former one.

    Args:
        one: the explainer.
        names: as they were given.
        every: all built-in ones as well, those of very many passes at their cheaper setting.

    Raises:
        SettingsError: there is none.
    """
    found = [present_explainer(name) for name in names]
    more = map(affordable, BUILT_IN) if every else ()
    chosen = [*(name for name, _ in found), *(name for name in more if name != one)]
    if not chosen:
        raise SettingsError(
            f"expected another explainer to compare '{one}' with, or --all, got none; 'audit list "
            "explainers' shows them"
        )
    return tuple(chosen), tuple(note for _, notes in found for note in notes)


def _expect_samples(live: LiveObjects) -> None:
    """Refuse given data that the model cannot take; torch is here, since there are objects."""
    from audit.data.given_samples import first_given
    from audit.data.pairs import Pairs

    first = None if isinstance(live.data, Pairs) else first_given(live.data)
    if first and live.model:
        live.model.expect_fit(*first)
