"""What the settings name, loaded: the model, the pairs, and the context of an audit."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.data.bundled_scenes import bundled_pairs
from audit.data.manifest import manifest_pairs
from audit.data.pairs import Pairs
from audit.engine.gathering_limits import gathering_limits
from audit.engine.profiles import SIZES
from audit.engine.reproduction import command_line, snippet
from audit.evidence.context import Context, ManyPairs, Progress
from audit.evidence.explanations import full_name
from audit.evidence.kinds import Roles
from audit.explainers.binding import bound
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.models.companion_models import find_companion_models, names_a_model
from audit.models.ladder_checkpoints import find_checkpoints
from audit.models.loading import BUNDLED, RANDOM, load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.nearest_name import hint

POSITIVE = ("grad-attention", "attention-eclip?heads=model&weight=none", "grad-cam", "gradient")
_TIMES, _BYTES = 10, 300_000_000
NEGATIVE = ("random", "center-prior", "edges")


def load_audited_model(settings: Settings) -> ModelUnderAudit:
    """The model that the settings name, on their device.

    Raises:
        ModelError: for models, weights or devices that do not exist.
    """
    return load_model(
        settings.model,
        settings.pretrained,
        device=settings.device,
        dtype=settings.dtype,
        seed=settings.seed,
        allow_download=settings.allow_download,
        tokenizer=settings.tokenizer,
    )


def load_pairs(settings: Settings, model: ModelUnderAudit, count: int | None = None) -> Pairs:
    """The data that the settings name; ``count`` pairs in the place of as many as they ask for."""
    count = count or settings.most_pairs
    if settings.data == BUNDLED:
        pairs = bundled_pairs(model, count, seed=settings.seed)
    else:
        pairs = manifest_pairs(
            model,
            Path(settings.data),
            count,
            seed=settings.seed,
            template=settings.template,
            allow_outside=settings.allow_outside,
        )
    if settings.pair is None:
        return pairs
    if settings.pair not in pairs.ids:
        raise SettingsError(
            f"no pair '{settings.pair}' among the {len(pairs)} pairs"
            f"{hint(settings.pair, pairs.ids)}; reports name the pairs, such as '{pairs.ids[0]}'"
        )
    return pairs.select([pairs.ids.index(settings.pair)])


def many_pairs(settings: Settings, model: ModelUnderAudit, pairs: Pairs) -> ManyPairs | None:
    """Ten times as many pairs of the data as are audited, as far as memory holds their pictures."""
    if settings.pair is not None:
        return None
    held = _BYTES // (pairs.images[0].numel() * pairs.images.element_size())
    count = max(min(_TIMES * settings.most_pairs, held), len(pairs))
    return ManyPairs(count, cache(partial(load_pairs, settings, model, count)))


def build_context(
    settings: Settings, model: ModelUnderAudit, audited: Explainer, progress: Progress
) -> Context:
    """What gatherers work with: model, data, the audited explainer, its controls and its twin.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
    """
    name = full_name(audited.name, dict(audited.options))
    pairs = load_pairs(settings, model)
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
        command=command_line(settings),
        snippet=snippet(settings),
        random_weights=model.pretrained == RANDOM,
    )
    fetch = settings.allow_download
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
        checkpoints=find_checkpoints(
            model, [s for s in settings.ladder if s not in models], allow_download=fetch
        ),
        others=find_companion_models(model, models, allow_download=fetch),
        pairs_for=partial(load_pairs, settings),
        many=many_pairs(settings, model, pairs),
        limits=gathering_limits(settings.thresholds),
    )


def _possible(names: tuple[str, ...], model: ModelUnderAudit) -> tuple[str, ...]:
    """Those that need no heads, where the model's are not known."""
    known = model.anatomy is not None
    return tuple(name for name in names if known or not load_explainer(name).needs)
