"""Equivalence in an audit, and among many explainers: found where it is, and nowhere else."""

import json
from pathlib import Path

import pytest

from audit.engine.explainer_families import Pairing, equivalence_of, families_of
from audit.result.document import read_result

OWN = """
import torch
from audit.explainers.registry import load_explainer

def drawn(name, model, images, targets):
    found = load_explainer(name).explain(model, images, targets)
    return getattr(found, "maps", found)

def scaled(model, images, targets):
    maps = drawn("grad-cam", model, images, targets)
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-30)

def nearly(model, images, targets):
    maps = drawn("gradient", model, images, targets)
    odd = torch.arange(maps[0].numel()).reshape(maps[0].shape) % 2
    return maps * (1 + 2e-7 * odd)

def same(model, images, targets):
    return drawn("gradient", model, images, targets)

def single(model, images, targets):
    if images.dtype == torch.float64:
        raise TypeError("float32 only")
    return drawn("gradient", model, images, targets)
"""


def pairing(one, other, relation="equal"):
    return Pairing(one, other, relation, 0.0, 1.0, 1e-10)


@pytest.fixture
def audited(command, tiny_model):
    Path("own.py").write_text(OWN)

    def run(name, samples="6"):
        words = ["--model", tiny_model, "--samples", samples, "--select", "P101", "--no-history"]
        done = command("check", "-e", name, *words)
        assert done.exit_code == 0, done.output
        return done.output, read_result(Path("audit-report/result.json")).equivalences

    return run


def related(found):
    return {one.name: one.relation for one in found if one.relation != "none"}


def test_an_audit_names_the_explainer_whose_maps_these_are(audited):
    output, found = audited("own.py:same")
    assert related(found) == {"gradient": "equal", "smooth-grad?noise=0&samples=1": "equal"}
    first = found[0]
    assert first.equivalent
    assert first.pairs == 6
    assert first.residual <= 1e-10
    assert "also with its weights drawn anew" in first.note
    assert "is equivalent to gradient: over 6 pairs" in " ".join(output.split())


def test_an_audit_names_a_factor(audited):
    output, found = audited("own.py:scaled")
    assert related(found) == {"grad-cam": "scale"}
    assert not any(one.equivalent for one in found)
    assert "gives the maps of grad-cam up to a factor, on each of 6 pairs" in " ".join(
        output.split()
    )


def test_what_differs_in_double_precision_alone_is_no_equivalent(audited):
    output, found = audited("own.py:nearly")
    assert set(related(found).values()) <= {"ranking"}  # no step between patches is so small
    assert not any(one.equivalent for one in found)
    closest = next(one for one in found if one.name == "gradient")
    assert closest.largest_difference < 1e-5  # single precision would not tell them apart
    assert "is equivalent to" not in output


def test_an_explainer_that_knows_no_double_precision_is_compared_in_its_own(audited):
    _, found = audited("own.py:single")
    assert related(found)["gradient"] == "equal"
    assert "not in double precision" in found[0].note


def test_the_algebra_of_a_known_identity_is_quoted(audited):
    output, found = audited("raw-attention")
    assert related(found) == {"rollout?start=-1": "scale"}
    assert found[0].algebra == "off the diagonal a row of (A + I) / 2 is A / 2"
    assert "(A + I) / 2" not in " ".join(output.split())  # it stands in the report
    assert "(A + I) / 2 is A / 2" in Path("audit-report/report.html").read_text("utf-8")


def test_maps_of_texts_are_compared_by_their_tokens(audited):
    _, found = audited("text-gradient")
    assert related(found) == {}
    assert {one.name for one in found} <= {"text-grad-attention", "text-grad-eclip", "text-game"}


def test_families_among_many(command, tiny_model):
    words = ["--model", tiny_model, "--samples", "4"]
    names = ["gradient", "game?start=-1", "grad-sam?start=-1", "attention-eclip", "text-gradient"]
    done = command("equivalence", "grad-eclip", *names, *words)
    assert done.exit_code == 1, done.output
    assert "6 explainers over 4 pairs on 2 models: 4 explainers in 2 families" in done.output
    assert "equivalent: grad-eclip, attention-eclip\n" in done.output
    assert "equivalent: game?start=-1, grad-sam?start=-1\n" in done.output
    assert "gradient and" not in done.output


def test_several_models_are_compared_on(command, tiny_model):
    words = ["--model", tiny_model, "--model", tiny_model, "--samples", "2"]
    done = command("equivalence", "grad-eclip", "attention-eclip", *words)
    assert done.exit_code == 0, done.output
    assert "over 4 pairs on 2 models" in done.output


def test_a_picture_and_a_text_are_not_compared(command, tiny_model):
    done = command("equivalence", "text-game", "game", "--model", tiny_model, "--samples", "2")
    assert done.exit_code == 1, done.output
    assert "one explains the picture and one the text" in done.output


def test_nothing_to_compare_with(command):
    done = command("equivalence", "gradient")
    assert done.exit_code == 2
    assert "expected another explainer" in done.output


def test_a_chain_of_roundings_makes_no_family():
    chain = [pairing("a", "b"), pairing("b", "c"), pairing("a", "c", "none")]
    assert families_of(["a", "b", "c"], chain) == (("a", "b"),)
    found = equivalence_of(["a", "b", "c"], chain, 3, 2, {"d": "no heads"})
    assert not found.equivalent
    assert list(found.lines())[1] == "equivalent: a, b"
    assert list(found.lines())[-1] == "left out: d: no heads"
    assert type(found).from_plain(json.loads(json.dumps(found_as_plain(found)))) == found


def found_as_plain(found):
    from dataclasses import asdict

    return asdict(found)
