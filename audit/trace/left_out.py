"""Which parts of a block values lack that stand in the place of what it gives."""

from __future__ import annotations

from audit.models.transformer_block import Block
from audit.trace.lineage import Lineage

_ATTENDED = ("query", "key", "qkv", "attention", "mean attention", "projected attention output")
_AFTER_ATTENTION = ("after attention", "normalized for the MLP", "MLP output")


def left_out(block: Block, lineage: Lineage) -> tuple[str, ...]:
    """Parts of a block that are nowhere on the way to some values, in words.

    Args:
        block: of the unmodified model.
        lineage: of values that stand in the place of its output.

    Returns:
        Some of attention, residual, second norm and MLP; none where the way is not through this
        block alone, as for an output that was scaled or exchanged.
    """
    here = {a.site for a in lineage.anchors if (a.tower, a.block) == (block.tower, block.index)}
    before = any(a.tower == block.tower and a.block < block.index for a in lineage.anchors)
    if not here - {"input"} and not _uses(block, lineage, ""):
        return ()
    if "output" in here:
        return ()
    lacking = {
        "attention": not lineage.events
        and not any(site.startswith((*_ATTENDED, *_AFTER_ATTENTION)) for site in here),
        "residual": not here & {"input", "after attention"} and not before,
        "second norm": not here & {"normalized for the MLP", "MLP output"}
        and _uses(block, lineage, block.names.mlp)
        and not _uses(block, lineage, block.names.mlp_norm)
        and any(True for _ in block.part(block.names.mlp_norm).parameters()),
        "MLP": "MLP output" not in here and not _uses(block, lineage, block.names.mlp),
    }
    return tuple(part for part, lacks in lacking.items() if lacks)


def _uses(block: Block, lineage: Lineage, part: str) -> bool:
    """Whether parameters of a part of a block, or of any, entered on the way."""
    prefix = f"{block.path_to(part)}." if part else f"{block.path}."
    return any(name.startswith(prefix) for name in lineage.params)
