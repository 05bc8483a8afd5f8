import dataclasses

import numpy as np
import pytest

from audit.evidence.kinds import Evidence, Reference, Roles

PAIRS = 12


@pytest.fixture
def roles():
    return Roles(
        audited="ours",
        positive=("faithful",),
        negative=("random", "edges"),
        twin=None,
        text_specific=True,
        model_free=False,
        stochastic=False,
        command="audit check --explainer ours",
    )


@pytest.fixture
def reference():
    """Twelve pairs of twelve pictures."""
    return Reference(
        ids=tuple(f"pair-{i}" for i in range(PAIRS)),
        texts=tuple(f"text {i}" for i in range(PAIRS)),
        classes=("a", "b"),
        picture=np.arange(PAIRS),
        labels=np.zeros(PAIRS, dtype=int),
        present=np.ones((PAIRS, 2), dtype=bool),
        scores=np.zeros((PAIRS, 2)),
        masks=None,
        image_blocks=4,
        text_blocks=2,
    )


@pytest.fixture
def judged(roles, reference):
    """Judge constructed evidence of one kind, with roles or thresholds changed by name."""

    def judge(check, thresholds=None, declared=None, **evidence):
        own = dataclasses.replace(roles, **(declared or {}))
        found = Evidence(roles=own, reference=reference, **evidence)
        assert check.needs >= {name for name in evidence if name != "explanations"}
        return check.finding(found, check.limits(thresholds))

    return judge
