"""``audit cache``."""

from __future__ import annotations

import click

from audit.cli.exit_codes import exit_codes, fail
from audit.cli.printing import say


@click.command()
@click.option("--cache", "chosen", metavar="FOLDER", help="Another folder than the user's own.")
@click.option("--prune", metavar="SIZE", help="Remove the longest unused until SIZE, such as 1GiB.")
@click.option("--clear", is_flag=True, help="Remove all.")
def cache(*, chosen: str | None, prune: str | None, clear: bool) -> None:
    """Show or remove evidence that audits share.

    What depends on model and data alone is measured once: the model's scores, the maps of controls,
    the effects of patches. It may be removed at any time; an audit measures what it does not find.
    """
    with exit_codes():
        from audit.config.value_forms import bytes_of
        from audit.engine import evidence_cache

        if prune is not None and clear:
            fail("--prune and --clear: expected one of them, found both")
        folder = evidence_cache.cache_folder(chosen or evidence_cache.AUTO)
        if folder is None:
            say("the cache is off (EXPLAINER_AUDIT_CACHE=off); --cache FOLDER names one")
            return
        if prune is None and not clear:
            say(evidence_cache.told(folder))
            return
        try:
            most = 0 if prune is None else bytes_of(prune) or 0
        except ValueError as error:
            fail(f"--prune {prune}: {error}")
        removed = evidence_cache.prune(folder, most)
        freed = evidence_cache.megabytes(sum(entry.bytes for entry in removed))
        say(f"removed {len(removed)} of the entries in {folder}: {freed}")
