"""What a notebook shows of a result: verdict, what failed with its lines, and the rest folded."""

from __future__ import annotations

from typing import Final

from audit.reports import statuses
from audit.reports.html import render_template
from audit.result.schema import Result

_OPENED: Final = 3
_RAISED: Final = frozenset({"violation", "error", "warning", "waived"})


def render_notebook(result: Result) -> str:
    """A piece of HTML without scripts or styles of its own; every string is escaped."""
    order = [status.key for status in statuses.STATUSES]
    checks = sorted(result.checks, key=lambda check: order.index(statuses.status_of(check).key))
    raised = [check for check in checks if statuses.status_of(check).key in _RAISED]
    rest = [check for check in checks if statuses.status_of(check).key not in _RAISED]
    return render_template(
        "notebook.html.j2", result=result, raised=raised, rest=rest, opened=_OPENED
    )
