"""What the function-preserving edits do to the maps of the bundled model."""

import dataclasses

import pytest

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.evidence.context import Sizes
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from tests.gathered import gathered

KEYS = {"key-bias", "query-key-rotation", "query-key-mixing"}


@pytest.fixture(scope="module")
def moved():
    """Edits that move the maps of an explainer of the bundled model."""
    model = load_model()

    def by(spec):
        context = build_context(
            Settings(explainer=spec, samples=12), model, load_explainer(spec), silent
        )
        context = dataclasses.replace(context, sizes=Sizes(reparametrized=4))
        found = gathered(context, "reparametrization").reparametrization
        assert all(e.score_change <= found.tolerance for e in found.entries)
        assert all((e.control < 1e-3).all() for e in found.entries)
        return {e.edit for e in found.entries if (e.relative_l2 > 1e-3).mean() >= 0.2}

    return by


def test_grad_eclip_moves_where_queries_and_keys_are_written_otherwise(moved):
    assert moved("grad-eclip") == KEYS | {"value-bias", "value-output-mixing"}


@pytest.mark.parametrize("spec", ["grad-eclip?heads=model&weight=none", "grad-attention"])
def test_gradients_by_attention_move_under_the_value_bias_alone(moved, spec):
    assert moved(spec) == {"value-bias"}


@pytest.mark.parametrize("spec", ["attention-logit-gradient", "raw-attention"])
def test_attention_and_its_logits_gradient_stay(moved, spec):
    assert moved(spec) == set()
