"""What a violation tells the reader to run shows the same pair again."""

import shlex

import pytest
import torch

from audit.config.settings import Settings
from audit.engine.auditing import run_audit
from audit.engine.context_building import load_pairs
from audit.engine.progress import silent
from audit.engine.reproduction import command_line, snippet
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model


@pytest.fixture
def violated(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        explainer="grad-eclip", options={"weight": "raw"}, model=tiny_model, samples=4,
        select=("P104", "P105"), profile="quick", history=False,
    )  # fmt: skip
    return settings, run_audit(settings, silent).result


def test_witness_command_finds_the_violation_again(violated, command):
    _, result = violated
    for check in result.checks:
        words = shlex.split(check.finding.witness.command)
        assert words[0] == "audit"
        again = command(*words[1:], "--out", "again")
        assert again.exit_code == 1
        assert f"{check.id} " in again.output


def test_snippet_prints_both_scores_and_the_map(violated, capsys):
    settings, result = violated
    witness = result.checks[0].finding.witness
    exec(compile(witness.snippet, "snippet", "exec"), {})  # noqa: S102 - what a reader would do
    model = load_model(settings.model)
    one = settings.model_copy(update={"pair": witness.pair})
    images, tokens = load_pairs(one, model).batch(torch.tensor([0]), "cpu", torch.float32)
    explainer = load_explainer("grad-eclip", {"weight": "raw"})
    explained = run_explainer(explainer, model.module, images, tokens)
    printed = capsys.readouterr().out
    assert f"score of the model: {model.score(images, tokens).item()}\n" in printed
    assert f"returned by the explainer: {explained.scores}\n" in printed


def test_only_what_differs_from_the_defaults_is_repeated():
    settings = Settings(explainer="my file.py:f", seed=3)
    assert command_line(settings) == "audit check --explainer 'my file.py:f' --seed 3"
    assert "Settings(explainer='my file.py:f', seed=3, pair='THE-PAIR')" in snippet(settings)


def test_what_the_profile_sets_is_not_repeated_but_what_was_given_is():
    quick = Settings(explainer="gradient", profile="quick")
    assert command_line(quick) == "audit check --explainer gradient --profile quick"
    many = Settings(explainer="gradient", profile="quick", samples=192)
    assert command_line(many) == "audit check --explainer gradient --samples 192 --profile quick"


def test_what_was_allowed_is_allowed_again():
    allowed = Settings(explainer="gradient", allow_outside=True, allow_download=True)
    command = "audit check --explainer gradient --allow-download --allow-outside"
    assert command_line(allowed) == command
