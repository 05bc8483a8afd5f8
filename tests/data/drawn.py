"""Pairs of a folder or file, drawn as an audit draws them."""

from audit.data.data_sources import pairs_of


def drawn(
    model, data, count, *, seed=0, template="a photo of a {}.", grid="off", allow_outside=False
):
    """Pairs of a source of data, without grids unless told."""
    return pairs_of(
        model,
        str(data),
        count,
        seed=seed,
        template=template,
        grid=grid,
        allow_outside=allow_outside,
    )
