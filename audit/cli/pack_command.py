"""``audit pack``."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say
from audit.cli.shared_options import print_notes


@click.command()
@click.argument("folder", default="audit-report", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The pack; default evidence-pack.zip in the folder.",
)
def pack(*, folder: Path, out: Path | None) -> None:
    """Pack a finished audit for a reviewer.

    FOLDER is the --out of the audit. The pack holds result, report, evidence, the explainer's
    source, and checksums; 'audit verify' checks it.
    """
    with exit_codes():
        from audit.engine.evidence_pack import write_pack
        from audit.reports.output import writable

        path = out or folder / "evidence-pack.zip"
        if out is not None:
            writable(path.parent)
        files, note = write_pack(folder, path)
    print_notes([note] if note else [])
    say(f"{path}: {files} files, with their checksums in SHA256SUMS")
