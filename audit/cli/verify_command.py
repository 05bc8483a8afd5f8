"""``audit verify``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines, verdict_stands


@click.command()
@click.argument("pack", type=click.Path(exists=True, path_type=Path))
def verify(*, pack: Path) -> None:
    """Check an evidence pack, without the model.

    Recomputes the checksums, judges the evidence again, and tells every difference. Exit code 0
    where there is none, 1 where there is one, 2 where it is no pack. Checksums tell damage; who
    wrote the pack is told by a signature over SHA256SUMS.
    """
    with exit_codes():
        from audit.engine.pack_verification import verify_pack

        found = verify_pack(pack)
    with verdict_stands():
        say_lines(found.lines)
        say("verified" if not found.exit_code else "not verified; exit code 1")
    sys.exit(found.exit_code)
