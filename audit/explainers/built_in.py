"""The explainers of this package, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BuiltIn:
    """An explainer of this package.

    Attributes:
        target: ``module:function`` within `audit.explainers`.
        text_specific: False where the method cannot depend on the text by design.
        model_free: True for controls that never look at the model.
        unmodified: the options that take the method's modification of the model away.
        equivalents: explainers that give the same maps under the same options.
        needs: ``heads`` where the method reads attention heads, which the model's anatomy tells.
        needs_also: what else it needs, by the option ``name=value`` with which it does; empty for
            always.
    """

    target: str
    text_specific: bool = True
    model_free: bool = False
    unmodified: Mapping[str, str] = field(default_factory=dict)
    equivalents: tuple[str, ...] = ()
    needs: str = ""
    needs_also: Mapping[str, str] = field(default_factory=dict)

    def needs_with(self, options: Mapping[str, str]) -> tuple[str, ...]:
        """What else it needs with these options, names out of `audit.explainers.model_needs`."""
        given = {"", *(f"{name}={value}" for name, value in options.items())}
        return tuple(need for option, need in self.needs_also.items() if option in given)


_HEADS = "heads"
_OWN_SIZE = {"input=own-size": "any size"}
_ECLIP = {"heads": "model", "input": "model"}
BUILT_IN: Mapping[str, BuiltIn] = {
    "grad-eclip": BuiltIn(
        "grad_eclip:grad_eclip",
        unmodified=_ECLIP,
        equivalents=("attention-eclip",),
        needs=_HEADS,
        needs_also=_OWN_SIZE,
    ),
    "attention-eclip": BuiltIn(
        "attention_eclip:attention_eclip",
        unmodified=_ECLIP,
        equivalents=("grad-eclip",),
        needs=_HEADS,
        needs_also=_OWN_SIZE,
    ),
    "grad-attention": BuiltIn("grad_attention:grad_attention", needs=_HEADS),
    "attention-logit-gradient": BuiltIn(
        "attention_logit_gradient:attention_logit_gradient", needs=_HEADS
    ),
    "raw-attention": BuiltIn(
        "raw_attention:raw_attention",
        text_specific=False,
        needs=_HEADS,
        needs_also={"": "one reading"},
    ),
    "gradient": BuiltIn("gradient:gradient"),
    "grad-cam": BuiltIn("grad_cam:grad_cam"),
    "occlusion": BuiltIn("occlusion:occlusion"),
    "random": BuiltIn("controls:random", text_specific=False, model_free=True),
    "center-prior": BuiltIn("controls:center_prior", text_specific=False, model_free=True),
    "edges": BuiltIn("controls:edges", text_specific=False, model_free=True),
}
# What an explainer from outside is compared with: each costs about one forward pass.
CHEAP = (
    "grad-eclip",
    "grad-eclip?heads=model",
    "grad-attention",
    "attention-logit-gradient",
    "raw-attention",
)
