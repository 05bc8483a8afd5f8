"""A small random CLIP, its pair, and a way to trace a function on it."""

import copy
import dataclasses

import pytest

from audit.explainers.contract import Explainer
from audit.trace.tracing import trace_pair
from tests import panel_stage


@pytest.fixture(scope="session", params=[0, 1], ids=["CLIP", "CustomTextCLIP"])
def each_stage(request, device):
    """Both kinds of model: text tower within the model, and as a module of its own."""
    return _of_one_pair(request.param, device)


@pytest.fixture(scope="session")
def small_stage(device):
    return _of_one_pair(0, device)


def _of_one_pair(seed, device):
    """One pair is enough here, and quick."""
    stage = panel_stage.stage(seed, device=device)
    return dataclasses.replace(stage, pairs=stage.pairs[:1])


@pytest.fixture
def traced(small_stage):
    """Traces an explainer on a copy of the model; gives the trace."""

    def trace(explain, stage=small_stage):
        model = copy.deepcopy(stage.model)
        return trace_pair(Explainer("planted", explain), model, stage.structure, stage.pair)[0]

    return trace
