"""What explainers may need to be known of a model, and why a model lacks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audit.models.anatomy import Anatomy, KnownTower, Tower, UnknownAnatomyError, reads_class_token
from audit.models.model_under_audit import ModelUnderAudit

HEADS = "heads"
ONE_READING = "one reading"
ONE_QUERY = "class token"
ANY_SIZE = "any size"
TEXT = "text tower"
NEEDS: Mapping[str, tuple[str, str]] = {
    HEADS: (
        "reads attention heads: expected a model in which they are known",
        "choose an explainer that needs none, such as gradient, grad-cam or occlusion",
    ),
    ONE_READING: (
        "shows the attention by which tokens are read: expected one way of reading them",
        "choose grad-attention or attention-logit-gradient, which weigh every way by its gradient",
    ),
    ONE_QUERY: (
        "follows the class token through the blocks: expected a model that reads one",
        "choose grad-attention or attention-logit-gradient, which take every way of reading tokens",
    ),
    ANY_SIZE: (
        "embeds pictures of another size (input=own-size): expected open_clip's own image tower",
        "give input=model",
    ),
    TEXT: (
        "explains the tokens of a text: expected open_clip's own text tower",
        "choose an explainer of pictures, such as gradient or grad-attention",
    ),
}
"""By name: what the explainer does and what is expected of the model; what to do without it."""


def lacking(model: ModelUnderAudit) -> dict[str, str]:
    """The needs that a model does not meet, each with the reason."""
    try:
        anatomy = model.require_anatomy()
    except UnknownAnatomyError as error:
        why = str(error) or f"the inside of {type(model.module).__name__} is not known"
        return dict.fromkeys(NEEDS, why)
    return dict([*_lacking(anatomy.image), *_lacking_text(anatomy)])


def _lacking_text(anatomy: Anatomy) -> Iterator[tuple[str, str]]:
    tower = anatomy.text_tower
    if not isinstance(tower, Tower):
        found = "none whose blocks are known" if tower is None else "one of another library"
        yield TEXT, f"text tower of {type(anatomy.model).__name__}: {found}"


def _lacking(tower: KnownTower) -> Iterator[tuple[str, str]]:
    if isinstance(tower, Tower):
        return
    last = tower.blocks[-1].path
    yield ANY_SIZE, f"what comes before '{tower.blocks[0].path}' is computed by the model alone"
    if not reads_class_token(tower):
        read = "tokens in a way that is not known"
        read = read if tower.reading is None else tower.reading.in_words
        yield ONE_QUERY, f"behind '{last}' the model reads {read}"
    if tower.reading is None:
        why = f"what reads the tokens behind '{last}' is neither the class token, nor the mean of "
        why += "tokens, nor a pooling by attention whose parts are known"
        yield HEADS, why
    elif tower.reading.queries is None:
        yield ONE_READING, f"behind '{last}' the model reads {tower.reading.in_words}"
