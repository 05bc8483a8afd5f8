"""With hardly any pairs the checks of principle 2 say so in plain sentences, never ``nan``."""

import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import Executed, Ladder, RungFaithfulness, RungInfo, TwinMaps
from audit.judging.judge_all import judge_all
from audit.result.finding import Verdict
from principles.catalogue import all_checks
from tests.principles.alignment import made, with_absent

NAMES = ("audited", "faithful", "random", "edges")
CHECKS = [check for check in all_checks() if check.principle == 2]


def few(n, rungs=5, same=False):
    rng = np.random.default_rng(0)
    quality = {name: np.full(n, 0.5) if same else rng.random(n) for name in NAMES}
    built = with_absent(made(quality, rng.random(n) < 0.5, faithfulness=quality), quality)
    pictures = len(built.reference.present)
    infos = [RungInfo("unmodified", "unmodified", 0.0, 0)]
    infos += [RungInfo(f"noise {i}", "weight-noise", float(i), 0) for i in range(1, rungs)]
    rows = {name: np.full((rungs, n), 0.5) if same else rng.random((rungs, n)) for name in NAMES}
    ladder = Ladder(
        tuple(infos), 0.0, np.arange(rungs)[:, None] < np.full((1, pictures), rungs - 1),
        rows,
    )  # fmt: skip
    executed = Executed("gradient", np.zeros(pictures, bool), np.ones(pictures, bool), 0.1)
    faithful = RungFaithfulness(np.arange(n), rows, np.ones((rungs, n)))
    return dataclasses.replace(
        built, ladder=ladder, rung_faithfulness=faithful, executed=executed,
        twin_maps=TwinMaps(np.arange(0), {}),
    )  # fmt: skip


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_no_text_of_a_finding_says_nan(n, same):
    results, broken = judge_all(CHECKS, few(n, same=same), (), severity={}, thresholds={})
    assert not broken
    for result in results:
        texts = [result.finding.summary, *result.finding.detail]
        texts += [figure.caption for figure in result.finding.figures]
        tables = [f for f in result.finding.figures if f.kind == "table"]
        texts += [cell for table in tables for row in table.rows for cell in row]
        for text in texts:
            assert "nan" not in text.lower().split(), (result.id, text)
            assert "inf" not in text.lower().split(), (result.id, text)
        assert all(s.value is None or np.isfinite(s.value) for s in result.finding.statistics)


def test_one_pair_settles_nothing():
    results, _ = judge_all(CHECKS, few(1), (), severity={}, thresholds={})
    assert {result.finding.verdict for result in results} == {Verdict.INCONCLUSIVE}
    p206 = next(r for r in results if r.id == "P206")
    assert "too few to give it an interval" in p206.finding.summary
