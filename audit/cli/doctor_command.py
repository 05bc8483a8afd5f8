"""``audit doctor``."""

from __future__ import annotations

from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command("doctor")
@shared.grid_option
@shared.model_options
def doctor(grid: int | str | None, **given: Any) -> None:
    """Load a model, and say what is known of it: inside, preprocessing, score, time, memory."""
    with exit_codes():
        from audit.models.written_models import BUNDLED, expect_written_model

        known = {key: value for key, value in given.items() if value is not None}
        name, pretrained = known.pop("model", BUNDLED), known.pop("pretrained", None)
        expect_written_model(name, pretrained, known.get("device", "cpu"))
        from audit.engine.model_diagnosis import diagnosis

        for line in diagnosis(name, pretrained, known, grid=grid if isinstance(grid, int) else 0):
            say(line)
