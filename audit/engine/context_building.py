"""What the settings name, loaded: the model, the pairs, and the context of an audit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import numpy as np

from audit.config.settings import Settings, SettingsError
from audit.data.bundled_scenes import bundled_pairs
from audit.data.data_sources import pairs_of
from audit.data.given_pairs import pairs_of_samples
from audit.data.given_samples import samples_of
from audit.data.pairs import Pairs
from audit.engine.gathering_limits import gathering_limits
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.profiles import SIZES
from audit.engine.reproduction import command_line, snippet
from audit.evidence.context import Context, ManyPairs, Progress
from audit.evidence.kinds import Roles
from audit.explainers.binding import bound, needs_met
from audit.explainers.contract import Explainer
from audit.explainers.identities import spec_of
from audit.explainers.model_needs import lacking
from audit.explainers.registry import given_explainer, load_explainer
from audit.metrics.quality_choice import chosen_measures, expect_grids, usual_measures
from audit.metrics.quality_table import QualityMeasure
from audit.models.companion_models import find_companion_models, names_a_model
from audit.models.given_module import GivenModel, class_names_of
from audit.models.ladder_checkpoints import find_checkpoints
from audit.models.loading import BUNDLED, RANDOM, load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.nearest_name import hint

POSITIVE = ("grad-attention", "attention-eclip?heads=model&weight=none", "grad-cam", "gradient")
_TIMES, _BYTES = 10, 1_000_000_000
NEGATIVE = ("random", "center-prior", "edges")


def load_audited_explainer(settings: Settings, live: LiveObjects = NOTHING) -> Explainer:
    """The explainer that was given, or that the settings name."""
    if live.explainer is None:
        return load_explainer(settings.explainer, settings.options)
    return given_explainer(live.explainer, settings.explainer, settings.options)


def load_audited_model(settings: Settings, live: LiveObjects = NOTHING) -> ModelUnderAudit:
    """The model that was given, or that the settings name, on their device.

    Raises:
        ModelError: for models, weights or devices that do not exist.
    """
    if live.model is not None:
        return _given_model(live.model, settings, live)
    return load_model(
        settings.model,
        settings.pretrained,
        device=settings.device,
        dtype=settings.dtype,
        seed=settings.seed,
        allow_download=settings.allow_download,
        tokenizer=settings.tokenizer,
    )


def _given_model(given: GivenModel, settings: Settings, live: LiveObjects) -> ModelUnderAudit:
    """A given model, which is looked at with the first of the given data."""
    picture: object = None
    target: object = None
    if live.data is not None and not isinstance(live.data, Pairs):
        first = samples_of(live.data, 1, seed=settings.seed)
        picture, target = first.pictures[0], first.targets[0]
        if given.classes is None and isinstance(target, int):
            given = replace(given, classes=first.classes)
    return given.under_audit(picture, target)


def load_pairs(
    settings: Settings,
    model: ModelUnderAudit,
    live: LiveObjects = NOTHING,
    count: int | None = None,
) -> Pairs:
    """The data that was given, or that the settings name.

    Args:
        settings: of the audit.
        model: that the pairs are for.
        live: objects that were given in the place of names.
        count: of pairs, in the place of as many as the settings ask for.
    """
    pairs = _pairs(settings, model, live, count or settings.most_pairs)
    if settings.pair is None:
        return pairs
    if settings.pair not in pairs.ids:
        raise SettingsError(
            f"no pair '{settings.pair}' among the {len(pairs)} pairs"
            f"{hint(settings.pair, pairs.ids)}; reports name the pairs, such as '{pairs.ids[0]}'"
        )
    return pairs.select([pairs.ids.index(settings.pair)])


def _pairs(settings: Settings, model: ModelUnderAudit, live: LiveObjects, count: int) -> Pairs:
    if isinstance(live.data, Pairs):
        rows = np.random.default_rng(settings.seed).permutation(len(live.data))[:count]
        return live.data.select(np.sort(rows).tolist())
    if live.data is not None:
        samples = samples_of(live.data, count, seed=settings.seed)
        return pairs_of_samples(samples, model, class_names_of(model), settings.template)
    if settings.data == BUNDLED:
        return bundled_pairs(model, count, seed=settings.seed)
    return pairs_of(
        model,
        settings.data,
        count,
        seed=settings.seed,
        template=settings.template,
        grid=settings.grid,
        allow_outside=settings.allow_outside,
    )


def many_pairs(
    settings: Settings, model: ModelUnderAudit, pairs: Pairs, live: LiveObjects
) -> ManyPairs | None:
    """Ten times as many pairs of the data as are audited, as far as memory holds their pictures."""
    if settings.pair is not None:
        return None
    held = _BYTES // (pairs.images[0].numel() * pairs.images.element_size())
    count = max(min(_TIMES * settings.most_pairs, held), len(pairs))
    return ManyPairs(count, cache(partial(load_pairs, settings, model, live, count)))


def build_context(
    settings: Settings,
    model: ModelUnderAudit,
    audited: Explainer,
    progress: Progress,
    live: LiveObjects = NOTHING,
) -> Context:
    """What gatherers work with: model, data, the audited explainer, its controls and its twin.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
    """
    name = spec_of(audited.name, dict(audited.options))
    pairs = load_pairs(settings, model, live)
    quality = quality_of(settings, pairs)
    explainers = {name: bound(audited, model, pairs.targets)}
    positive = tuple(n for n in _possible(POSITIVE, model) if n != name)[:1]
    twin = [audited.faithful_twin] if audited.faithful_twin else []
    for other in (*positive, *NEGATIVE, *twin):
        explainers.setdefault(other, bound(load_explainer(other), model, pairs.targets))
    roles = Roles(
        audited=name,
        positive=positive,
        negative=NEGATIVE,
        twin=audited.faithful_twin,
        text_specific=audited.text_specific,
        model_free=audited.model_free,
        stochastic=audited.stochastic,
        command=command_line(settings, live),
        snippet=snippet(settings, live),
        random_weights=model.pretrained == RANDOM,
        saved=audited.saved,
        decides=quality[0].title,
        explains_text=audited.explains_text,
    )
    fetch = settings.allow_download
    _expect_names_beside_a_ladder_of_models(settings, live)
    models = [source for source in settings.ladder if names_a_model(source)]
    return Context(
        model=model,
        pristine=pristine_copy(model.module),
        pairs=pairs,
        explainers=explainers,
        roles=roles,
        sizes=SIZES[settings.profile],
        seed=settings.seed,
        progress=progress,
        quality=quality,
        checkpoints=find_checkpoints(
            model, [s for s in settings.ladder if s not in models], allow_download=fetch
        ),
        others=find_companion_models(model, models, allow_download=fetch),
        pairs_for=partial(load_pairs, settings),
        many=many_pairs(settings, model, pairs, live),
        limits=gathering_limits(settings.thresholds),
    )


def quality_of(settings: Settings, pairs: Pairs) -> tuple[QualityMeasure, ...]:
    """The measures of map quality that were asked for, else the usual ones; the first decides.

    Raises:
        QualityError: an unknown one, one that cannot do this, or one of grids on other data.
    """
    chosen = chosen_measures(settings.quality)
    expect_grids(chosen, grids=pairs.grid > 0)
    return chosen or usual_measures(grids=pairs.grid > 0)


def _expect_names_beside_a_ladder_of_models(settings: Settings, live: LiveObjects) -> None:
    """Other models preprocess pictures in their own way, which given data may not allow."""
    others = [source for source in settings.ladder if names_a_model(source)]
    if others and live.data is not None:
        raise SettingsError(
            f"ladder: expected data as a name beside another model ('{others[0]}'), which "
            "preprocesses pictures in its own way, got objects; give a manifest, or leave it out"
        )


def _possible(names: tuple[str, ...], model: ModelUnderAudit) -> tuple[str, ...]:
    """Those that read nothing of the model's inside that is not known."""
    lacks = lacking(model)
    return tuple(name for name in names if needs_met(load_explainer(name), lacks))
