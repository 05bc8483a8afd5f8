"""Explainers meet the model where the context of an audit is built."""

import pytest
import torch

from audit.config.settings import Settings
from audit.engine import context_building
from audit.engine.context_building import build_context
from audit.engine.progress import silent
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.registry import load_explainer
from tests.class_head import class_pairs, model_with_class_head

SOURCE = """
def asking(model, images, targets, *, interface, classes):
    scores = interface.features(model, images) @ interface.target_features(model, classes).T
    return scores[:, None]
"""


@pytest.fixture
def built(monkeypatch):
    monkeypatch.setattr(
        context_building, "load_pairs", lambda _, model, *others: class_pairs(model)
    )

    def build(spec):
        settings = Settings(explainer=spec, samples=6, profile="quick")
        return build_context(settings, model_with_class_head(), load_explainer(spec), silent)

    return build


def test_the_control_of_a_model_without_known_heads_needs_none(built):
    assert built("gradient").roles.positive == ("grad-cam",)
    assert built("grad-cam").roles.positive == ("gradient",)


def test_what_reads_attention_is_refused_before_anything_is_measured(built):
    with pytest.raises(NeedsHeadsError, match="'grad-eclip' reads attention heads"):
        built("grad-eclip")


def test_every_explainer_of_the_context_is_given_what_it_asks_for(built, tmp_path):
    path = tmp_path / "asking.py"
    path.write_text(SOURCE)
    context = built(f"{path}:asking")
    pairs = torch.arange(6)
    scores = context.explain(context.audited, context.model.module, pairs).maps[:, 0]
    torch.testing.assert_close(scores, context.model.module(context.pairs.images).detach())
    for name in ("grad-cam", "random", "center-prior", "edges"):
        maps = context.explain(context.explainers[name], context.pristine, pairs).maps
        assert maps.shape == (6, 2, 2)
