"""Built-in attention methods on models of any library: honest ones pass, Grad-ECLIP is found."""

import copy
from functools import cache

import pytest
import torch
from open_clip.model import CustomTextCLIP
from torchvision.transforms import Compose

from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.open_clip_source import OpenClipInterface
from audit.models.pristine import pristine_copy
from audit.models.structure import structure_of
from audit.result.finding import Verdict
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair, trace_pair
from tests.block_models import drawn
from tests.converted_clip import write_as_transformers
from tests.known_towers import known_model, pairs_of
from tests.trace.judged import judged

HONEST = ("raw-attention", "grad-attention")
NAMES = (
    "timm class token",
    "timm average",
    "torchvision class token",
    "transformers class token",
    "transformers SigLIP",
)
EVERY = ("gradient", *HONEST, "grad-eclip")


@cache
def stage(name):
    return _staged(known_model(name), *(x[:1] for x in pairs_of(known_model(name))))


def _staged(model: ModelUnderAudit, image, target):
    pristine = pristine_copy(model.module)
    structure = structure_of(model.interface, pristine, image, target)
    with torch.no_grad():
        score = float(model.with_module(pristine).score(image, target))
    pair = TracedPair("pair-0", image, target, {"score": score})
    given = {"image": image} if structure.text is None else {"image": image, "text": target}
    return model, structure, pair, Rounding(given)


def findings(staged, spec):
    """Verdicts and summaries of a built-in explainer, traced."""
    model, structure, pair, rounding = staged
    explainer = bound(load_explainer(spec), model, None)
    trace, _ = trace_pair(explainer, copy.deepcopy(model.module), structure, pair, rounding)
    return judged(spec, (trace,), 1e-5)


def verdicts(staged, spec):
    return {check: found.verdict for check, found in findings(staged, spec).items()}


@pytest.mark.parametrize("name", NAMES)
def test_what_reads_the_models_own_attention_is_acquitted(name):
    for spec in HONEST:
        found = findings(stage(name), spec)
        asked = [c for c in found if not (spec == "raw-attention" and c in {"P104", "P110"})]
        doubted = {c: found[c].summary for c in asked if found[c].verdict is not Verdict.PASS}
        assert not doubted, spec


@pytest.mark.parametrize("name", NAMES)
def test_one_head_in_the_place_of_four_is_found(name):
    found = findings(stage(name), "grad-eclip")
    violated = {c for c, f in found.items() if f.verdict is Verdict.VIOLATION}
    assert violated == {"P104", "P105"}
    assert "heads 4 → 1" in found["P105"].summary


@pytest.fixture(scope="module")
def in_transformers(tiny_model, tmp_path_factory):
    """One small CLIP as open_clip holds it, and as transformers does."""
    ours, folder = load_model(tiny_model), tmp_path_factory.mktemp("transformers")
    write_as_transformers(ours.module, folder)
    return ours, load_model(f"hf:{folder}")


@pytest.mark.parametrize(
    ("pair", "specs"),
    [("in_transformers", EVERY)],
)
def test_one_model_in_two_libraries_has_the_same_maps_and_verdicts(pair, specs, request):
    ours, theirs = request.getfixturevalue(pair)
    image = torch.rand(1, 3, ours.image_size, ours.image_size)
    text = ["a photo of a cat."]
    staged = [_staged(m, image, m.encode(text)) for m in (ours, theirs)]
    for spec in specs:
        assert verdicts(staged[0], spec) == verdicts(staged[1], spec), spec
        one, other = (
            run_explainer(bound(load_explainer(spec), m, None), m.module, image, m.encode(text))
            for m in (ours, theirs)
        )
        torch.testing.assert_close(one.maps, other.maps, rtol=1e-3, atol=1e-5)
        if one.scores is not None:
            torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)


@pytest.fixture(scope="module", params=["a token behind the text", "padding"])
def of_text_masks(request):
    """Towers of open_clip whose attention mask differs from text to text."""
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 8, "layers": 2}
    text = {"context_length": 12, "vocab_size": 99, "width": 32, "heads": 4, "layers": 2}
    masks_padding = request.param == "padding"
    text |= {"embed_cls": not masks_padding, "no_causal_mask": masks_padding}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = drawn(CustomTextCLIP(16, vision, text))
    module.text.use_pad_mask = masks_padding
    interface = OpenClipInterface(Compose([]), tokens_of)
    model = ModelUnderAudit("masks", None, module, interface, torch.device("cpu"), torch.float32)
    return _staged(model, torch.rand(1, 3, 32, 32), tokens_of(["a b"]))


def tokens_of(texts):
    """Ids of the words, the end and padding: of every text another length."""
    rows = [[*range(1, len(text.split()) + 1), 98] for text in texts]
    return torch.tensor([[*row, *[0] * (12 - len(row))] for row in rows])


def test_a_text_tower_that_masks_each_text_its_own_way_accuses_nobody(of_text_masks):
    for spec in ("gradient", "grad-attention"):
        found = findings(of_text_masks, spec)
        doubted = {c: f.summary for c, f in found.items() if f.verdict is not Verdict.PASS}
        assert not doubted, spec


def test_one_head_is_found_beside_such_a_text_tower(of_text_masks):
    found = findings(of_text_masks, "grad-eclip")
    assert "heads 4 → 1" in found["P105"].summary
    assert found["P104"].verdict is Verdict.VIOLATION
