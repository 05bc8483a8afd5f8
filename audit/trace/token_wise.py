"""Steps of a tower that treat each token by itself."""

from __future__ import annotations

from audit.models.structure import AnyTower


def reads_out(tower: AnyTower, index: int) -> bool:
    """Whether all that follows reads each token by itself: the end, or norms and a class head."""
    return not any(
        tower.attends(block.index)
        or len([m for m in block.module.modules() if m._parameters]) > 1  # noqa: SLF001
        or any(weight.ndim > 2 for weight in block.module.parameters())
        for block in tower.blocks[index:]
    )


def each_token_alone(tower: AnyTower, index: int) -> bool:
    """Whether what is entered treats each token by itself: the end of a tower, or a norm."""
    if index == len(tower.blocks):
        return True
    weights = tower.blocks[index].module.parameters()
    return not tower.attends(index) and all(weight.ndim == 1 for weight in weights)
