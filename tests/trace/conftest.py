"""A small random CLIP, its pair, and a way to trace a function on it."""

import copy

import pytest

from audit.explainers.contract import Explainer
from audit.trace.tracing import trace_pair
from tests import panel


@pytest.fixture(scope="session", params=[0, 1], ids=["CLIP", "CustomTextCLIP"])
def each_stage(request):
    """Both kinds of model: text tower within the model, and as a module of its own."""
    return panel.stage(request.param)


@pytest.fixture(scope="session")
def small_stage():
    return panel.stage(0)


@pytest.fixture
def traced(small_stage):
    """Traces an explainer on a copy of the model; gives the trace."""

    def trace(explain, stage=small_stage):
        model = copy.deepcopy(stage.model)
        return trace_pair(Explainer("planted", explain), model, stage.pristine, stage.pair)[0]

    return trace
