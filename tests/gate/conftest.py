"""A result of the tiny model, made once."""

import pytest

from audit.config.settings import Settings
from audit.engine.auditing import run_audit
from audit.engine.progress import silent


@pytest.fixture(scope="session")
def red(tiny_model, tmp_path_factory):
    """grad-eclip on the tiny model: P104 and P105 violated, P201 inconclusive."""
    settings = Settings(
        explainer="grad-eclip",
        model=tiny_model,
        samples=6,
        profile="quick",
        select=("P101", "P104", "P105", "P201"),
        out=str(tmp_path_factory.mktemp("red")),
    )
    return run_audit(settings, silent).result


@pytest.fixture(scope="session")
def green(tiny_model, tmp_path_factory):
    """grad-attention on the tiny model: nothing violated, P201 inconclusive."""
    settings = Settings(
        explainer="grad-attention",
        model=tiny_model,
        samples=6,
        profile="quick",
        select=("P101", "P104", "P105", "P201"),
        out=str(tmp_path_factory.mktemp("green")),
    )
    return run_audit(settings, silent).result


@pytest.fixture
def check_of(red):
    """A check of ``red`` with some fields of itself or of its finding replaced."""

    def made(check_id, **changes):
        check = next(c for c in red.checks if c.id == check_id)
        own = {k: v for k, v in changes.items() if k in type(check).model_fields}
        inner = {k: v for k, v in changes.items() if k not in own}
        return check.model_copy(update={**own, "finding": check.finding.model_copy(update=inner)})

    return made
