"""What a trace knows of a model: its towers, as deep as they are known, and its score's scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from audit.models.anatomy import Anatomy, KnownTower, UnknownAnatomyError
from audit.models.model_under_audit import ModelInterface
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower, chain_tower
from audit.models.transformer_block import TowerName

AnyTower = Tower | ChainTower


@dataclass(frozen=True)
class Structure:
    """The towers of a model.

    Attributes:
        model: the whole module.
        image: what pictures run through.
        text: what texts run through; None where targets are class ids, and the image tower's
            feature is one logit a class.
        score_parameters: names of parameters that scale or shift the score and are in no tower.
        logit_scale: factor from score to logit.
    """

    model: nn.Module
    image: AnyTower
    text: AnyTower | None
    score_parameters: tuple[str, ...] = ()
    logit_scale: float = 1.0

    @property
    def towers(self) -> Iterator[AnyTower]:
        """Both towers, or the one."""
        yield self.image
        if self.text is not None:
            yield self.text

    def tower(self, name: TowerName) -> AnyTower:
        """A tower by name.

        Raises:
            KeyError: the model has no text tower.
        """
        if name == "image":
            return self.image
        if self.text is None:
            raise KeyError("expected a model with a text tower, its targets are class ids")
        return self.text

    def tower_of(self, path: str) -> TowerName:
        """The tower that a parameter belongs to, by its dotted name."""
        if self.text is None:
            return "image"
        return "image" if self.image.holds(path) else "text"

    def may_need(self, name: TowerName, path: str) -> bool:
        """Whether a tower may need a parameter, by its dotted name: its own, or nobody's."""
        return self.tower(name).holds(path) or not any(t.holds(path) for t in self.towers)

    def in_block(self, path: str) -> bool:
        """Whether a parameter, by its dotted name, belongs to a block."""
        return any(path.startswith(f"{b.path}.") for tower in self.towers for b in tower.blocks)

    def on(self, model: nn.Module) -> Structure:
        """The same of a copy of the model."""
        text = None if self.text is None else self.text.on(model)
        return replace(self, model=model, image=self.image.on(model), text=text)


def structure_of(
    interface: ModelInterface, module: nn.Module, image: Tensor, target: Tensor
) -> Structure:
    """The towers of any model.

    Args:
        interface: how the module is called.
        module: in eval mode.
        image: a picture, (1, 3, H, W).
        target: a target, (1, context) token ids or (1,) class ids.
    """
    known = _anatomy(interface, module)
    text: AnyTower | None = None if known is None else _named(known.text_tower)
    if text is None and target.ndim > 1:
        text = chain_tower("text", module, interface.target_features, target)
    return Structure(
        model=module,
        image=(known and _named(known.image))
        or chain_tower("image", module, interface.features, image),
        text=text,
        score_parameters=() if known is None else known.score_parameters,
        logit_scale=interface.logit_scale(module),
    )


def _anatomy(interface: ModelInterface, module: nn.Module) -> Anatomy | None:
    """The inside, where it is known that its image tower has a name for every part."""
    try:
        known = interface.anatomy(module)
    except UnknownAnatomyError:
        return None
    return known if isinstance(known.image, Tower) else None


def _named(tower: KnownTower | None) -> Tower | None:
    return tower if isinstance(tower, Tower) else None
