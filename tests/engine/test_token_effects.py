"""Effects of tokens against a loop that edits each text by hand, and what P108 says of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.config.settings import Settings
from audit.engine.context_building import (
    build_context,
    load_audited_explainer,
    load_audited_model,
)
from audit.engine.word_captions import colored_words, with_words
from audit.evidence.effects import gather_effects
from audit.evidence.explanations import gather_explanations
from audit.evidence.kinds import Evidence
from audit.evidence.reference import gather_reference
from audit.evidence.token_effects import FAITHFUL, FILLER, MODEL_FREE, content_of
from audit.judging.gallery import gallery
from audit.metrics.agreement import effect_captured
from audit.result.document import read_result

OWN = """
from audit.explainers.contract import Explanation
from audit.explainers.registry import load_explainer

def shifted(model, images, targets):
    found = load_explainer("token-removal").explain(model, images, targets)
    return Explanation(found.maps, found.scores, found.token_maps.roll(2, 1))

shifted.explains_text = True
"""


@pytest.fixture(scope="module")
def context(tiny_model):
    settings = Settings(explainer="token-removal", model=tiny_model, samples=6)
    model, explainer = load_audited_model(settings), load_audited_explainer(settings)
    return build_context(settings, model, explainer, lambda *_: None)


@pytest.fixture(scope="module")
def found(context):
    return gather_effects(context, gather_explanations(context))


def texts_of(context):
    """The tokens of each pair's text; those of the pairs are by class."""
    every = torch.arange(len(context.pairs))
    return context.pairs.batch(every, context.model.device, context.model.dtype)[1]


def by_hand(context, kind):
    """Each pair and each of its tokens: the text written out anew, and scored."""
    model, pairs = context.pristine_model, context.pairs
    images, targets = pairs.batch(torch.arange(len(pairs)), model.device, model.dtype)
    rows = np.zeros(targets.shape)
    for i in range(len(pairs)):
        whole = targets[i].tolist()
        end = whole.index(max(whole))
        for place in range(1, end):
            if kind == 0:
                text = [*whole[:place], *whole[place + 1 :], 0]
            else:
                text = [*whole[:place], FILLER, *whole[place + 1 :]]
            pair = images[i : i + 1], torch.tensor([text])
            with torch.no_grad():
                before = model.score(images[i : i + 1], targets[i : i + 1])
                rows[i, place] = float(before - model.score(*pair))
    return rows


@pytest.mark.parametrize("kind", [0, 1])
def test_effects_are_those_of_texts_edited_by_hand(context, found, kind):
    assert found.of_tokens
    assert found.kinds == ("token removal", "token replacement")
    np.testing.assert_allclose(found.effects[kind, :, 0], by_hand(context, kind), atol=2e-6)


def test_nothing_and_everything_are_known(found):
    assert found.null_difference <= found.tolerance


def test_token_removal_is_its_own_best_map_and_content_ends_before_the_end(context, found):
    targets = texts_of(context)
    content = content_of(context, targets)
    assert (content.sum(1) == targets.argmax(1) - 1).all()
    np.testing.assert_allclose(found.token_maps[:, 0], found.effects[0, :, 0], atol=1e-5)
    np.testing.assert_allclose(found.agreement["token-removal"][0], 1.0, atol=1e-3)
    assert set(found.agreement) == {"token-removal", FAITHFUL, *MODEL_FREE}
    assert (found.faithful, found.model_free) == ((FAITHFUL,), MODEL_FREE)


def test_agreement_is_over_the_tokens_of_each_text_alone(context, found):
    content = content_of(context, texts_of(context))
    for row in range(len(content)):
        late = torch.arange(content.shape[1]).double()[content[row]][None]
        drops = torch.from_numpy(found.effects[1, row, 0]).double()[content[row].numpy()][None]
        expected = float(effect_captured(late, drops))
        assert found.agreement["late tokens"][1, row] == pytest.approx(expected)


def test_words_of_the_text_are_colored_by_their_tokens(context, found):
    explanations = gather_explanations(context)
    reference = gather_reference(context)
    evidence = Evidence(context.roles, reference, explanations=explanations, effects=found)
    cards = with_words(gallery(evidence, range(3)), evidence, context.model.encode)
    for row, card in enumerate(cards):
        assert [word.text for word in card.words] == reference.texts[row].split()
        assert max(abs(word.level) for word in card.words) == 4
        total = sum(word.relevance for word in card.words)
        assert total == pytest.approx(found.token_maps[row].sum(), abs=1e-2)
        assert all(word.relevance * word.level >= 0 for word in card.words)
    without = dataclasses.replace(evidence, effects=None)
    assert not with_words(gallery(without, range(1)), without, context.model.encode)[0].words


def test_words_that_tokens_do_not_tell_apart_have_no_colors(context):
    def joined(texts):
        return context.model.encode([text.replace(" ", "") for text in texts])

    assert colored_words("ab cd", torch.ones(24), joined) == []
    even = colored_words("a red disk", torch.zeros(24), context.model.encode)
    assert {word.level for word in even} == {0}


@pytest.mark.parametrize(
    ("name", "verdict"), [("token-removal", "pass"), ("own_tokens.py:shifted", "violation")]
)
def test_token_maps_are_judged_by_token_removal(command, name, verdict):
    Path("own_tokens.py").write_text(OWN)
    words = ["--profile", "quick", "--samples", "48", "--select", "P108", "--no-history"]
    done = command("check", "-e", name, *words)
    assert done.exit_code == (verdict == "violation"), done.output
    result = read_result(Path("audit-report/result.json"))
    (check,) = result.checks
    assert check.finding.verdict == verdict
    assert "of removing tokens" in check.finding.summary
    assert sum(bool(card.words) for card in result.gallery) == 24  # as many as were measured
    page = Path("audit-report/report.html").read_text()
    assert page.count('class="word ') >= 24
    assert "more-4" in page
