"""``audit plan``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from audit.cli import shared_options as shared
from audit.cli.audited_options import audited_options
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines

if TYPE_CHECKING:
    from audit.engine.planning import CostPlan, Planned


@click.command("plan")
@audited_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan_(*, as_json: bool, **given: Any) -> None:
    """Measure what an audit will take: passes, time, memory and disk. Takes what 'check' takes.

    A part of the audit is run, and nothing is kept. A pass is the multiplications of one picture's
    forward pass, so that half of a pass counts half.
    """
    with exit_codes():
        from audit.cli.progress_bars import progress_bars
        from audit.config.settings_file import load_settings
        from audit.engine.planning import plan_audit

        settings = load_settings({**given, "history": False})
        shared.print_notes(settings.notes)
        with progress_bars() as progress:
            found = plan_audit(settings, progress)
    if as_json:
        say(json.dumps(found.model_dump(mode="json"), indent=2))
        return
    say_lines(_lines(found))


def _lines(plan: CostPlan) -> Iterator[str]:
    yield (
        f"{plan.explainer} on {plan.model}, {plan.pairs:,} pairs of {plan.data}, "
        f"{plan.workers} at a time"
    )
    yield f"{'':22} {'forwards':>10} {'backwards':>10} {'time':>9} {'disk':>10}"
    yield from (_row(part, part.what) for part in plan.parts)
    yield _row(plan.needed, "in all")
    if plan.most != plan.needed.model_copy(update={"what": plan.most.what}):
        yield _row(plan.most, "with all on demand")
    yield f"memory at most {plan.memory / 2**30:.1f} GiB"
    yield f"The plan took {_span(plan.seconds)}. What it cannot see:"
    yield from (f"- {note}" for note in plan.notes)


def _row(part: Planned, name: str) -> str:
    if part.failure:
        return f"{name:22} could not be measured: {part.failure}"
    demand = "  on demand" if part.on_demand else ""
    return (
        f"{name:22} {part.forwards:10,.0f} {part.backwards:10,.0f} {_span(part.seconds):>9} "
        f"{part.bytes / 1000:7,.0f} kB{demand}"
    )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
