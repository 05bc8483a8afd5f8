"""Gradients that tensors keep, to which each backward pass adds its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

_MOST_BEFORE = 4.0  # times what is new


def grown(
    held: Sequence[tuple[Tensor, Tensor | None]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """What was added to the gradients of tensors that keep theirs.

    Where much was there before, the difference is known too coarsely to be compared.
    """
    for t, before in held:
        if t.grad is not None and before is None:
            yield t, t.grad
        elif t.grad is not None and before is not None:
            new = t.grad - before
            if float(new.norm()) * _MOST_BEFORE >= float(before.norm()):
                yield t, new
