"""Cases for the constants by which the trace judges calls, passes and gradients."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from unittest import mock

import torch
from torch import Tensor, nn

from audit.explainers.contract import Explainer
from audit.models.tower import Tower
from audit.trace import kept_gradients
from audit.trace.copied_parts import CopiedParts
from audit.trace.differentiable_states import PIXELS
from audit.trace.frames import UNKNOWN, Frames
from audit.trace.gradients import GradientComparison
from audit.trace.integrity import Integrity
from audit.trace.lineage import Anchor, Lineage
from audit.trace.map_origin import MapOrigin
from audit.trace.model_changes import ModelChanges
from audit.trace.model_copies import adopt
from audit.trace.observations import ScalarSeen
from audit.trace.operations import Operation
from audit.trace.precision import Precision
from audit.trace.recorder import Recorder
from audit.trace.runs import Runs
from audit.trace.scalar_records import ScalarRecords
from audit.trace.tracing import trace_pair
from tests.panel_stage import Stage, stage

PIXELS_OF_THE_PAIR = Anchor("image", 0, PIXELS, "all", 0)


@cache
def _stage() -> Stage:
    return stage()


def _recorder() -> Recorder:
    """A recorder of a copy of the model that nothing has run on."""
    on = _stage()
    model = copy.deepcopy(on.model)
    integrity = Integrity(model, on.pristine)
    return Recorder(model, on.structure, integrity, on.pair.image, on.pair.targets)


def copied_mlp_off_by(roundings: float) -> str:
    """What the MLP of a bfloat16 copy gives, off by so many roundings (root of mean squares)."""
    passes, path = _recorder().passes, "visual.transformer.resblocks.0.mlp"
    copied = CopiedParts(passes, Frames(_stage().model))
    mlp = copy.deepcopy(_stage().model.get_submodule(path)).bfloat16()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 400, 32, generator=generator).bfloat16()
    with torch.no_grad():
        own = mlp(x)
        copied.before(mlp, path, (x,))
    return "same" if copied.after(mlp, _some_digits_off(own, roundings)) is None else "other"


def _some_digits_off(own: Tensor, roundings: float) -> Tensor:
    """The last digit changed of as many values, from the first on, as move all by so much."""
    values = own.flatten()
    eps = torch.finfo(own.dtype).eps
    changed = (values.float() * (1 + eps)).to(own.dtype)
    moved = (changed.double() - values.double()).square().cumsum(0).sqrt()
    limit = roundings * eps * float(values.double().norm())
    return torch.where(moved <= limit, changed, values).reshape(own.shape)


def wrapped_method_off_by(roundings: float) -> str:
    """A replaced method that gives the module's result but for so many roundings."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False))
    nn.init.eye_(model[0].weight)
    watch = ModelChanges(
        Integrity(model, copy.deepcopy(model)), copy.deepcopy(model), Frames(model), frozenset()
    )
    x, eps = torch.ones(1, 4), torch.finfo(torch.float32).eps
    model[0].forward = lambda y: y * (1 + roundings * eps)
    watch.module("0", (x,))
    watch.has_run("0", model[0].forward(x))
    (change,) = (change for change in watch.changes if change.method)
    return "another" if change.altering else "same"


def tensors_of_a_copy(count: int) -> str:
    """A module made anew, of so many tensors, that are those of the model."""
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(count)))
    found = adopt(copy.deepcopy(model), Integrity(model, copy.deepcopy(model)))
    return "unknown" if found is None else "a copy"


def _entered(pictures: list[Tensor]) -> Recorder:
    recorder = _recorder()
    tower = recorder.structure.tower("image")
    weight = next(_stage().pristine.parameters())
    for picture in pictures:
        recorder.passes.enter_tower(tower, picture, weight, UNKNOWN)
    return recorder


def pixels_off_by(roundings: float) -> str:
    """A picture whose pixels are all moved by so many roundings."""
    picture = _stage().pair.image
    moved = picture.double() + roundings * torch.finfo(torch.float32).eps
    (entry,) = _entered([moved.float()]).passes.entries
    return "the given" if entry.given else "another"


def later_pictures(count: int) -> str:
    """A picture after which so many others entered: can gradients by it still be told?"""
    pictures = [_stage().pair.image + number for number in range(1 + count)]
    entered = _entered(pictures).passes.entered
    return "known" if any(t is pictures[0] for t in entered) else "forgotten"


def later_runs_with_gradients(count: int) -> str:
    """A run after which so many others kept their inputs for gradients by them."""
    precision = Precision(_stage().structure, torch.float32, None)
    runs = Runs()
    for number in range(1 + count):
        run = runs.new("image", Lineage(), None, frozenset(), precision)
        runs.keep_inputs(run, torch.full((1, 3, 8, 8), float(number)))
    return "forgotten" if runs[0].inputs is None else "known"


def _features(gradients: GradientComparison, recorder: Recorder, picture: Tensor) -> Tensor:
    """Features of a picture, told to be the model's outputs."""
    with torch.no_grad():
        features = _stage().pristine.encode_image(picture)
    gradients.output(features, replace(recorder.passes.runs[0], inputs=picture), "feature")
    return features


def _then(gradients: GradientComparison, name: str, operands: list[Tensor]) -> Tensor:
    """An operation on the model's outputs, that is followed."""
    func = getattr(torch.ops.aten, name).default if name != "add" else torch.ops.aten.add.Tensor
    result: Tensor = func(*operands)
    gradients.follow(Operation(func, name, tuple(operands), {}, operands), [result])
    return result


def operations_to_the_score(count: int) -> str:
    """A scalar so many operations after the feature: is its gradient compared with the model's?"""
    recorder = _recorder()
    gradients, picture = GradientComparison([_stage().model], recorder.passes), _stage().pair.image
    steps = [_features(gradients, recorder, picture)]
    for _ in range(count):
        steps.append(_then(gradients, "neg", steps[-1:]))
    found = [torch.zeros_like(picture)]
    gradients.taken(0, steps[-1], None, [picture], found, lambda _: PIXELS_OF_THE_PAIR, UNKNOWN)
    return "compared" if gradients.seen else "not compared"


def passes_behind_a_score(count: int) -> str:
    """The model's own gradient by the last of so many pictures, whose features are added up."""
    recorder = _recorder()
    gradients, given = GradientComparison([_stage().model], recorder.passes), _stage().pair.image
    pictures = [given + number for number in range(count)]
    features = [_features(gradients, recorder, picture) for picture in pictures]
    steps = [features[0]]
    for feature in features[1:]:
        steps.append(_then(gradients, "add", [steps[-1], feature]))
    last = pictures[-1].clone().requires_grad_()
    found = torch.autograd.grad(_stage().pristine.encode_image(last).sum(), last)
    gradients.taken(0, steps[-1], None, [last], found, lambda _: PIXELS_OF_THE_PAIR, UNKNOWN)
    if not gradients.seen:
        return "not compared"
    return "the model's" if all(seen.own for seen in gradients.seen) else "another"


def gradient_kept_before(times: float) -> str:
    """A gradient to which one is added, and that was so many times as large before."""
    kept, before = torch.ones(4, requires_grad=True), torch.full((4,), times)
    kept.grad = before + 1
    return "compared" if dict(kept_gradients.grown([(kept, before)])) else "not compared"


def passes_all_replayed(count: int) -> str:
    """So many passes of a tower: are all of them computed again by the untouched one?"""
    recorder, picture = _recorder(), _stage().pair.image
    tower = recorder.integrity.modules["visual"].module
    with mock.patch.object(Tower, "features", autospec=True, side_effect=Tower.features) as again:
        for number in range(1, 1 + count):
            inputs = (picture + number,)
            recorder.plain.begins(tower, inputs)
            with torch.no_grad():
                out = _stage().pristine.visual(*inputs)
            assert recorder.plain.ends(tower, out) is not None
    return "all" if again.call_count == count else "some"


def hooked_passes_looked_at(count: int) -> str:
    """So many passes of a block with a hook around it: is the inside of the last one looked at?"""
    recorder, tokens = _recorder(), torch.randn(1, 17, 32)
    block = recorder.integrity.modules["visual.transformer.resblocks.1"].module
    with block.register_forward_pre_hook(lambda module, args: None), torch.no_grad():
        for _ in range(count):
            assert recorder.plain.within() is None
            recorder.plain.begins(block, (tokens,))
            recorder.plain.begins(block.ln_1, (tokens,))
            plain = recorder.plain.within()
            recorder.plain.ends(block, block(tokens))
    return "looked at" if plain is None else "passed over"


def changed_when_computed_again(share: float) -> str:
    """A map from nowhere, that other weights change by such a share of each value."""
    calls: list[nn.Module] = []

    def explain(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        calls.append(model)
        values = torch.linspace(1, 2, 16, dtype=torch.float64).reshape(1, 4, 4)
        return values * (1 + share * (len(calls) == 3))

    on = _stage()
    explainer = Explainer("planted", explain)
    trace, _ = trace_pair(explainer, copy.deepcopy(on.model), on.structure, on.pair)
    assert len(calls) == 3
    return "depends on the model" if trace.unseen else "does not"


def scalars_of_a_kind(count: int) -> str:
    """So many scalars alike but for their values: is the last of them told?"""
    recorder = mock.MagicMock(spec=Recorder)
    values = [ScalarSeen(torch.tensor([float(i)]), Lineage(), UNKNOWN) for i in range(count)]
    recorder.derivatives = mock.MagicMock(scalars=values)
    recorder.passes, recorder.targets = mock.MagicMock(), torch.zeros(1, 4)
    recorder.structure = _stage().structure
    descent = mock.MagicMock(spec=MapOrigin)
    descent.of_maps = Lineage()
    records = list(ScalarRecords(recorder, descent, {"cosine": 0.0}, None).records())
    return "told" if records[-1].values == (count - 1.0,) else "not told"
