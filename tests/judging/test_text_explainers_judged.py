"""An explainer of texts is not judged by its maps of pictures, which are even."""

import pytest

from audit.evidence.kinds import Evidence, Roles
from audit.explainers.registry import given_explainer, load_explainer
from audit.judging.judge_all import judge_all
from audit.result.finding import Verdict
from principles.catalogue import all_checks

OF_PICTURES = {f"P20{n}" for n in range(1, 7)}


def judged(*, explains_text):
    roles = Roles("x", (), (), None, True, False, False, explains_text=explains_text)
    results, failures = judge_all(
        list(all_checks()), Evidence(roles=roles), [], severity={}, thresholds={}
    )
    assert not failures
    return {result.id: result.finding.verdict for result in results}


def test_checks_of_pictures_do_not_apply():
    found = judged(explains_text=True)
    assert {name for name, v in found.items() if v is Verdict.NOT_APPLICABLE} == OF_PICTURES
    others = {v for name, v in found.items() if name not in OF_PICTURES}
    assert others == {Verdict.ERROR}  # they ask for evidence all the same


def test_they_apply_to_all_others():
    assert set(judged(explains_text=False).values()) == {Verdict.ERROR}


@pytest.mark.parametrize("name", ["text-game", "token-removal", "text-grad-eclip?heads=model"])
def test_built_in_explainers_of_texts_say_so(name):
    assert load_explainer(name).explains_text
    assert not load_explainer("game").explains_text


def test_an_explainer_of_ones_own_may_say_so():
    def explain(model, images, targets):
        return images[:, 0] + 0 * targets

    assert not given_explainer(explain, "ours").explains_text
    explain.explains_text = True
    assert given_explainer(explain, "ours").explains_text
