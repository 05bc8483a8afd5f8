"""Built-in attention methods on models of any library: honest ones pass, Grad-ECLIP is found."""

import copy
import json
from functools import cache

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.models.structure import structure_of
from audit.result.finding import Verdict
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair, trace_pair
from tests.converted_clip import write_as_transformers, write_with_timm_tower
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


@pytest.fixture(scope="module")
def with_timm_tower(tmp_path_factory):
    """One small CLIP with an image tower of open_clip's own, and with the same one of timm's."""
    vision = {"image_size": 160, "layers": 6, "width": 64, "head_width": 32, "patch_size": 16}
    vision |= {"mlp_ratio": 3, "no_ln_pre": True, "pool_type": "tok"}
    text = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    shown = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
    config = {
        "model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": shown,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = open_clip.CLIP(**config["model_cfg"]).eval()
    for part in module.visual.modules():
        if isinstance(part, torch.nn.LayerNorm):
            part.eps = 1e-6  # as timm has it
    folder = tmp_path_factory.mktemp("timm-tower")
    own, other = folder / "own", folder / "other"
    own.mkdir()
    (own / "open_clip_config.json").write_text(json.dumps(config))
    save_file(
        {n: t.contiguous() for n, t in module.state_dict().items()},
        own / "open_clip_model.safetensors",
    )
    write_with_timm_tower(module, config, other, "test_vit")
    return load_model(f"local-dir:{own}"), load_model(f"local-dir:{other}")


@pytest.mark.parametrize(
    ("pair", "specs"),
    [("in_transformers", EVERY), ("with_timm_tower", ("grad-attention", "grad-eclip"))],
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
