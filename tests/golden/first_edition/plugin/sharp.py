# sharp.py
import numpy as np

from audit.result import Finding, Severity, Statistic, Verdict
from principles.check import Check


def judge(evidence, thresholds):
    """Violated where a map is the same everywhere."""
    maps = evidence.explanations.maps[evidence.roles.audited]
    spread = np.ptp(maps.reshape(len(maps), -1), axis=1)
    flat = int((spread <= thresholds["spread"]).sum())
    return Finding(
        verdict=Verdict.VIOLATION if flat else Verdict.PASS,
        summary=f"{flat} of {len(maps)} maps are the same everywhere.",
        statistics=[
            Statistic(
                name="smallest spread of a map",
                value=float(spread.min()),
                threshold=thresholds["spread"],
                good_side="above",
                n=len(maps),
            )
        ],
    )


CHECK = Check(
    id="P190",
    name="not-flat",
    title="Does every map single out a place?",
    failure_title="Maps are the same everywhere",
    severity=Severity.ERROR,
    needs=frozenset({"explanations"}),
    thresholds={"spread": 0.0},
    reference="an example",
    judge=judge,
    documentation={
        "What it does": "Looks at the range of each map.",
        "Why it matters": "A map that is the same everywhere says nothing.",
        "What a pass does not show": "That the place is the right one.",
    },
)
