"""The explainers of this package, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True)
class BuiltIn:
    """An explainer of this package.

    Attributes:
        target: ``module:function`` within `audit.explainers`.
        text_specific: False where the method cannot depend on the text by design.
        model_free: True for controls that never look at the model.
        unmodified: the options that take the method's modification of the model away.
        needs: ``heads`` where the method reads attention heads, which the model's anatomy tells, or
            ``text tower`` where it explains the tokens of the text.
        cost: of a map, in forward (F) and backward (B) passes of the image tower; texts aside.
        modifies: what of the model's own computation the method changes; empty for nothing.
        needs_also: what else it needs, by the option ``name=value`` with which it does; empty for
            always.
        cheaper: options of a setting that costs less than the published one, for a method of very
            many passes.
        many_passes: whether the passes of a map grow with patches, masks, channels, samples or
            steps.
    """

    target: str
    cost: str
    text_specific: bool = True
    model_free: bool = False
    unmodified: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    modifies: str = ""
    needs_also: Mapping[str, str] = field(default_factory=dict)
    cheaper: Mapping[str, str] = field(default_factory=dict)
    many_passes: bool = False

    @property
    def explains_text(self) -> bool:
        """Whether it explains the tokens of the text, and not the picture."""
        return self.needs == _TEXT

    def needs_with(self, options: Mapping[str, str]) -> tuple[str, ...]:
        """What else it needs with these options, names out of `audit.explainers.model_needs`."""
        given = {"", *(f"{name}={value}" for name, value in options.items())}
        return tuple(need for option, need in self.needs_also.items() if option in given)


_HEADS = "heads"
_TEXT = "text tower"
_OWN_SIZE = {"input=own-size": "any size"}
_FOLLOWS = {"": "class token"}
_ECLIP = {"heads": "model", "input": "model"}
_ONE_HEAD = "the last image block is computed with one head, and at own-size another picture is run"
BUILT_IN: Mapping[str, BuiltIn] = {
    "grad-eclip": BuiltIn(
        "grad_eclip:grad_eclip",
        "1F + 1B of the last block",
        unmodified=_ECLIP,
        needs=_HEADS,
        modifies=_ONE_HEAD,
        needs_also=_OWN_SIZE,
    ),
    "attention-eclip": BuiltIn(
        "attention_eclip:attention_eclip",
        "1F + 1B of the last block",
        unmodified=_ECLIP,
        needs=_HEADS,
        modifies=_ONE_HEAD,
        needs_also=_OWN_SIZE,
    ),
    "grad-attention": BuiltIn(
        "grad_attention:grad_attention", "1F + 1B of the last block", needs=_HEADS
    ),
    "attention-logit-gradient": BuiltIn(
        "attention_logit_gradient:attention_logit_gradient",
        "1F + 1B of the last block",
        needs=_HEADS,
    ),
    "raw-attention": BuiltIn(
        "raw_attention:raw_attention",
        "1F",
        text_specific=False,
        unmodified=_ECLIP,
        needs=_HEADS,
        modifies="with heads=released the last image block's attention is computed with one head, "
        "and at own-size another picture is run",
        needs_also={"": "one reading", **_OWN_SIZE},
    ),
    "rollout": BuiltIn(
        "rollout:rollout", "1F", text_specific=False, needs=_HEADS, needs_also=_FOLLOWS
    ),
    "grad-sam": BuiltIn("grad_sam:grad_sam", "1F + 1B", needs=_HEADS, needs_also=_FOLLOWS),
    "attcat": BuiltIn("attcat:attcat", "1F + 1B", needs=_HEADS, needs_also=_FOLLOWS),
    "game": BuiltIn("game:game", "1F + 1B", needs=_HEADS, needs_also=_FOLLOWS),
    "transformer-attribution": BuiltIn(
        "transformer_attribution:transformer_attribution",
        "2F + 1B, and relevance backward through each block",
        needs=_HEADS,
        needs_also=_FOLLOWS,
    ),
    "legrad": BuiltIn(
        "legrad:legrad",
        "1F + 1B of each block",
        unmodified={"score": "model"},
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="the score explained is that of the mean token of each block, not the model's",
    ),
    "tam": BuiltIn(
        "tam:tam",
        "1F + steps (F + B of the last block)",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        many_passes=True,
    ),
    "maskclip": BuiltIn(
        "maskclip:maskclip",
        "1F",
        unmodified={"attention": "model"},
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="the last image block mixes no values: each token keeps its own",
    ),
    "clip-surgery": BuiltIn(
        "clip_surgery:clip_surgery",
        "1F, and one pass of the text tower for each class",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="patch features come from a second path: value-value attention, no MLP",
    ),
    "m2ib": BuiltIn(
        "m2ib:m2ib",
        "1F + steps x copies (F + B of the last quarter)",
        unmodified={"text": "model"},
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="noise is mixed into the tokens that leave a block; with text=released the text "
        "tower is another function",
        many_passes=True,
    ),
    "atman": BuiltIn(
        "atman:atman",
        "1F + patches F",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="one run for each patch, in which attention to it is suppressed",
        many_passes=True,
    ),
    "caap": BuiltIn(
        "caap:caap",
        "2F + patches F of the blocks from the first on",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="one run for each patch, in which it is put into an empty picture",
        many_passes=True,
    ),
    "tis": BuiltIn(
        "tis:tis",
        "1F + masks F of a share of the tokens",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="one run for each mask, in which the other patches' tokens are taken away",
        cheaper={"masks": "128"},
        many_passes=True,
    ),
    "skip-plus": BuiltIn("skip_plus:skip_plus", "1F + 1B", needs=_HEADS, needs_also=_FOLLOWS),
    "vit-cx": BuiltIn(
        "vit_cx:vit_cx",
        "2F + 2 F for each cluster of channels",
        needs=_HEADS,
        many_passes=True,
    ),
    "libra-grad": BuiltIn(
        "libra_grad:libra_grad",
        "1F + 1B",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="the backward pass: attention, norms and gates are constants",
    ),
    "attn-lrp": BuiltIn(
        "attn_lrp:attn_lrp",
        "1F + 1B",
        needs=_HEADS,
        needs_also=_FOLLOWS,
        modifies="the backward pass: norms and gates are constants, products share the gradient",
    ),
    "gradient": BuiltIn("gradient:gradient", "1F + 1B"),
    "input-x-gradient": BuiltIn("input_x_gradient:input_x_gradient", "1F + 1B"),
    "integrated-gradients": BuiltIn(
        "integrated_gradients:integrated_gradients",
        "1F + steps (F + B)",
        cheaper={"steps": "16"},
        many_passes=True,
    ),
    "smooth-grad": BuiltIn(
        "smooth_grad:smooth_grad",
        "1F + samples (F + B)",
        cheaper={"samples": "16"},
        many_passes=True,
    ),
    "grad-cam": BuiltIn(
        "grad_cam:grad_cam",
        "1F + 1B",
        unmodified={"heads": "model"},
        modifies="with heads=released the last image block is computed with one head",
        needs_also={"heads=released": "class token"},
    ),
    "grad-cam-plus-plus": BuiltIn("grad_cam_plus_plus:grad_cam_plus_plus", "1F + 1B"),
    "score-cam": BuiltIn("score_cam:score_cam", "1F + 1B + channels F", many_passes=True),
    "occlusion": BuiltIn("occlusion:occlusion", "1F + windows F", many_passes=True),
    "rise": BuiltIn("rise:rise", "1F + masks F", cheaper={"masks": "256"}, many_passes=True),
    "meaningful-perturbation": BuiltIn(
        "meaningful_perturbation:meaningful_perturbation",
        "1F + disks F + steps (F + B)",
        cheaper={"steps": "30"},
        many_passes=True,
    ),
    "extremal-perturbation": BuiltIn(
        "extremal_perturbation:extremal_perturbation",
        "1F + areas x steps (F + B)",
        cheaper={"steps": "100", "area": "0.1"},
        many_passes=True,
    ),
    "text-gradient": BuiltIn(
        "text_gradient:text_gradient", "1F + 1B of the text tower", needs=_TEXT
    ),
    "text-integrated-gradients": BuiltIn(
        "text_integrated_gradients:text_integrated_gradients",
        "1F + steps (F + B) of the text tower",
        needs=_TEXT,
        many_passes=True,
    ),
    "text-grad-attention": BuiltIn(
        "text_grad_attention:text_grad_attention",
        "1F of the text tower + 1B of its last block",
        needs=_TEXT,
    ),
    "text-grad-eclip": BuiltIn(
        "text_grad_eclip:text_grad_eclip",
        "1F + 1B of the text tower",
        unmodified={"heads": "model"},
        needs=_TEXT,
        modifies="the last text blocks are computed with one head",
    ),
    "text-game": BuiltIn("text_game:text_game", "1F + 1B of the text tower", needs=_TEXT),
    "token-removal": BuiltIn(
        "token_removal:token_removal",
        "1F + tokens F of the text tower",
        needs=_TEXT,
        many_passes=True,
    ),
    "random": BuiltIn("controls:random", "0", text_specific=False, model_free=True),
    "center-prior": BuiltIn("controls:center_prior", "0", text_specific=False, model_free=True),
    "edges": BuiltIn("controls:edges", "0", text_specific=False, model_free=True),
}


def affordable(name: str) -> str:
    """A built-in explainer at its cheaper setting, where it has one, as a spec."""
    cheaper = BUILT_IN[name].cheaper
    return f"{name}?{urlencode(cheaper)}" if cheaper else name
