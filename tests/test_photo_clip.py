"""Principle 1 on a real photo model, where the folder ``shared`` lies beside the repository."""

import dataclasses
from pathlib import Path

import pytest

from audit.config import Settings
from audit.engine import SIZES, _context
from audit.evidence.kinds import Evidence
from audit.explainers.registry import load_explainer
from audit.gathering import GATHERERS
from audit.judging import judge_all
from audit.models.loading import load_model
from audit.progress import silent
from principles.catalogue import all_checks

SHARED = Path(__file__).parents[2] / "shared" / "data"
TRACED = ("P101", "P102", "P103", "P104", "P105")

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared/data"),
]


@pytest.fixture(scope="module")
def verdicts(device):
    """Verdicts of the checks of a trace, by explainer."""
    name = f"local-dir:{SHARED / 'photo_clip'}"
    model = load_model(name, device=device)

    def judged(explainer):
        settings = Settings(
            explainer=explainer, model=name, data=str(SHARED / "photos" / "manifest.csv"), samples=2
        )
        context = _context(settings, model, load_explainer(explainer), silent)
        context.sizes = dataclasses.replace(SIZES["quick"], traced=1)
        evidence = Evidence(roles=context.roles)
        for kind in ("reference", "trace"):
            found = GATHERERS[kind].gather(context, evidence)
            evidence = dataclasses.replace(evidence, **{kind: found})
        checks = [check for check in all_checks() if check.id in TRACED]
        results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
        assert not failures, failures
        return {result.id: result.finding.verdict.value for result in results}

    return judged


def test_grad_eclip_explains_another_model(verdicts):
    found = verdicts("grad-eclip")
    assert {check for check, verdict in found.items() if verdict == "violation"} == {"P104", "P105"}


@pytest.mark.parametrize(
    "explainer",
    ["grad-attention", "attention-logit-gradient", "gradient", "raw-attention"],
)
def test_honest_explainers_are_not_accused(verdicts, explainer):
    assert set(verdicts(explainer).values()) <= {"pass", "not-applicable"}
