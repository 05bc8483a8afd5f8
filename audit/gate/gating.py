"""What the gate makes of the judged checks: waived, known from the baseline, or failing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from audit.gate.baseline import apply_baseline
from audit.gate.waiving import Accepted, apply_waivers
from audit.result.schema import CheckResult, ModelInfo, Result


@dataclass(frozen=True)
class Gate:
    """Waivers and baseline, read before the work begins.

    Attributes:
        waivers: of the project.
        baseline: an accepted earlier result.
        strict: INCONCLUSIVE fails as well.
        today: by which waivers expire.
        notes: for the reader, about how these were written.
        required: ids of checks that fail where they come to no verdict.
    """

    waivers: tuple[Accepted, ...]
    baseline: Result | None
    strict: bool
    today: date
    notes: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()

    def applied(
        self, checks: Sequence[CheckResult], *, explainer: str, model: ModelInfo, data: str
    ) -> tuple[list[CheckResult], list[str]]:
        """The checks with waivers and novelty, and notes for the reader.

        Args:
            checks: as judged.
            explainer: its name.
            model: what the result says of it.
            data: hash of the data.
        """
        marked = [c.model_copy(update={"required": c.id in self.required}) for c in checks]
        judged, notes = apply_waivers(
            marked, self.waivers, explainer=explainer, strict=self.strict, today=self.today
        )
        notes = [*self.notes, *notes]
        if self.baseline is None:
            return judged, notes
        same = self.baseline.model.is_same_as(model) and self.baseline.data.sha256 == data
        marked, more = apply_baseline(judged, self.baseline, same_subject=same)
        return marked, notes + more
