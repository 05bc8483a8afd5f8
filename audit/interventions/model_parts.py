"""Where the weights of a model lie on the way from the picture, and from the target, to the score.

Of a model of open_clip's own kind the anatomy says so. Of any other one it is measured: autograd
numbers the operations of a score, and with them the uses of each parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from audit.interventions.copies import copy_with, weights_of
from audit.models.anatomy import Anatomy, Tower, TowerName
from audit.models.model_under_audit import ModelUnderAudit

MOST_STAGES = 24
Stages = Mapping[str, tuple[str, ...]]
"""Names of weights by stage, from the output down; each is in one stage."""


@dataclass(frozen=True)
class ModelParts:
    """The weights of a model by where its score uses them.

    Attributes:
        image: stages of what looks at the picture.
        text: stages of the text tower; none where targets are class ids.
        head: stages of ``image`` that give the scores of classes, and so look at no picture.
        blocks: the stages of ``image`` that are blocks, the topmost first.
        apart: weights that scale or shift every score.
        anatomy: the view of the inside, where there is one.
    """

    image: Stages
    text: Stages = field(default_factory=dict)
    head: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    anatomy: Anatomy | None = None

    @property
    def image_weights(self) -> tuple[str, ...]:
        """Weights of what looks at the picture, the class head left out, in the model's order."""
        stages = [names for stage, names in self.image.items() if stage not in self.head]
        return tuple(name for names in stages for name in names)


def parts_of(
    model: ModelUnderAudit, images: Float[Tensor, "n 3 H W"], targets: Int[Tensor, "n ..."]
) -> ModelParts:
    """The parts of a model, whatever is known of its inside.

    Args:
        model: the model.
        images: a preprocessed picture or more, on the model's device.
        targets: token ids or class ids, which say whether there is a text tower.
    """
    anatomy = model.anatomy
    if anatomy is not None and _has_names(anatomy, targets):
        return parts_of_anatomy(anatomy, class_ids=targets.ndim == 1)
    weights = weights_of(model.module)
    picture, target = _uses(model, images[:1], targets[:1])
    own = {n: use for n, use in target.items() if n not in picture}
    apart = tuple(n for n, w in weights.items() if w.numel() == 1 and n not in picture | own)
    order = {n: i for i, n in enumerate(weights) if n not in apart}
    use = picture | own or {n: order[n] for n, _ in model.module.named_parameters() if n in order}
    near = {n: n if n in use else _nearest(n, order, use) for n in order}
    stages = staged({n: use[at] for n, at in near.items() if at not in own})
    of_target = staged({n: use[at] for n, at in near.items() if at in own})
    if targets.ndim > 1:
        return ModelParts(stages, of_target, (), tuple(stages), apart, anatomy)
    image = {**of_target, **_apart_from(of_target, stages)}
    return ModelParts(image, {}, tuple(of_target), tuple(stages), apart, anatomy)


def _has_names(anatomy: Anatomy, targets: Tensor) -> bool:
    """Whether every part of its towers has a name."""
    towers = [anatomy.image] if targets.ndim == 1 else [anatomy.image, anatomy.text_tower]
    return all(isinstance(tower, Tower) for tower in towers)


def parts_of_anatomy(anatomy: Anatomy, *, class_ids: bool = False) -> ModelParts:
    """The parts of a model whose inside is known.

    Args:
        anatomy: the view of it.
        class_ids: whether targets are class ids, so that what no tower holds is the class head.
    """
    image = anatomy_stages(anatomy, "image")
    text = {} if anatomy.text_tower is None else anatomy_stages(anatomy, "text")
    placed = {n for stages in (image, text) for names in stages.values() for n in names}
    placed.update(anatomy.score_parameters)
    left = tuple(n for n in weights_of(anatomy.model) if n not in placed)
    head: tuple[str, ...] = ()
    if left and class_ids:
        head, image = ("head",), {"head": left, **image}
    elif left:
        text = {**text, "others": left}
    blocks = tuple(f"block {block.index}" for block in reversed(anatomy.image.blocks))
    return ModelParts(image, text, head, blocks, anatomy.score_parameters, anatomy)


def anatomy_stages(anatomy: Anatomy, tower: TowerName) -> Stages:
    """A tower's weights: its readout, its blocks from the last to the first, its embedding."""
    view = anatomy.tower(tower)
    readouts = tuple(view.path_to(n) for n in (view.names.projection, view.names.final_norm))
    left = _tower_weights(anatomy, tower)
    found = {"readout": tuple(n for n in left if n.startswith(readouts))}
    for block in reversed(view.blocks):
        found[f"block {block.index}"] = tuple(n for n in left if n.startswith(f"{block.path}."))
    placed = {name for names in found.values() for name in names}
    return found | {"embedding": tuple(name for name in left if name not in placed)}


def _tower_weights(anatomy: Anatomy, tower: TowerName) -> list[str]:
    inside = anatomy.tower(tower).path
    outside = anatomy.image.path if tower == "text" else None
    return [
        name
        for name in weights_of(anatomy.model)
        if (not inside or name.startswith(f"{inside}."))
        and not (outside and name.startswith(f"{outside}."))
        and name not in anatomy.score_parameters
    ]


def staged(use: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Weights by the part of the model that holds them, the one that is used last first.

    The parts are modules as deep in the model as gives at most 24 of them.

    Args:
        use: when each weight is used last.
    """
    if not use:
        return {}
    found = _by_prefix(use, 1)
    for depth in range(2, 1 + max(name.count(".") for name in use)):
        deeper = _by_prefix(use, depth)
        if len(deeper) > MOST_STAGES:
            break
        found = deeper
    last = {part: max(use[n] for n in names) for part, names in found.items()}
    return {part: tuple(found[part]) for part in sorted(found, key=lambda p: -last[p])}


def _by_prefix(names: Iterable[str], depth: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        *path, own = name.split(".")
        found.setdefault(".".join(path[:depth]) or own, []).append(name)
    return found


def _apart_from(head: Stages, stages: Stages) -> Stages:
    """Stages of other names than those of the head, which may lie in the same module."""
    return {f"{name}, features" if name in head else name: names for name, names in stages.items()}


def _nearest(name: str, order: Mapping[str, int], known: Iterable[str]) -> str:
    """The weight of known use that shares most of a name's path, and is registered nearest."""

    def distance(other: str) -> tuple[int, int]:
        return -_common(name.split("."), other.split(".")), abs(order[other] - order[name])

    return min(known, key=distance)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _uses(
    model: ModelUnderAudit, images: Tensor, targets: Tensor
) -> tuple[dict[str, int], dict[str, int]]:
    """When each parameter is used last for a picture's feature, and for a target's."""
    probe = copy_with(model.module, {})
    for parameter in probe.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    names = {id(p): name for name, p in probe.named_parameters()}
    view = model.with_module(probe)
    with torch.enable_grad():
        return _last_uses(view.features(images), names), _last_uses(
            view.target_features(targets), names
        )


def _last_uses(feature: Tensor, names: Mapping[int, str]) -> dict[str, int]:
    """The number that autograd gave to the last operation on each parameter."""
    found: dict[str, int] = {}
    seen = {feature.grad_fn} - {None}
    waiting = list(seen)
    while waiting:
        node = waiting.pop()
        number = node._sequence_nr()  # type: ignore[union-attr]  # noqa: SLF001 - has no other name
        for before, _ in node.next_functions:  # type: ignore[union-attr]
            name = names.get(id(getattr(before, "variable", None)))
            if name is not None:
                found[name] = max(number, found.get(name, -1))
            elif before is not None and before not in seen:
                seen.add(before)
                waiting.append(before)
    return found
