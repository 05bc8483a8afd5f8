"""Which of many pairs, or stages, are looked at where not all are."""

from __future__ import annotations


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Indices spread evenly over ``count``."""
    wanted = min(wanted, count)
    return sorted({(2 * i + 1) * count // (2 * wanted) for i in range(wanted)})
