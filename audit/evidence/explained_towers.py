"""Gathers which tower each explainer's map is of: the picture's, or the text's alone."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explained_copies import common_random_numbers
from audit.evidence.kinds import ExplainedTowers
from audit.explainers.contract import Explainer, Explanation, run_explainer

FEW = 4


def gather_explained_towers(context: Context) -> ExplainedTowers:
    """Which tower the audited explainer and a faithful control explain, by a few pairs' maps."""
    names = (context.roles.audited, *context.roles.positive[:1])
    return ExplainedTowers({n: text_tokens(context, context.explainers[n]) for n in names})


def text_tokens(context: Context, explainer: Explainer) -> int | None:
    """Over how many tokens the map runs, as many as every text has; None for maps of pictures.

    An explainer that leaves the picture's map constant and gives a map of the tokens explains the
    text tower.
    """
    some = torch.tensor(evenly_spaced(len(context.pairs), FEW))
    found: list[Explanation] = []

    def work(module: nn.Module) -> Tensor:
        found.append(context.explain(explainer, module, some))
        return found[0].maps

    with common_random_numbers(context.seed):
        context.guarded(work)
    maps = found[0].maps.flatten(1)
    no_text = context.pairs.targets.ndim == 1 or found[0].token_maps is None
    if no_text or not bool((maps == maps[:, :1]).all()):
        return None
    return _tokens_of_every_text(context)


def _tokens_of_every_text(context: Context) -> int:
    """Tokens up to the one that is pooled; all that a text may have where that is not known."""
    targets, anatomy = context.pairs.targets, context.pristine_model.anatomy
    if anatomy is None or anatomy.text_tower is None:
        return targets.shape[1]
    return int(anatomy.text.pooled_index(targets).min()) + 1


def on_explained_tower(explainer: Explainer, tokens: int | None) -> Explainer:
    """The explainer itself, or, where it explains the text only, one whose map is that of tokens.

    Args:
        explainer: the explainer.
        tokens: see `text_tokens`; the map is then (pairs, 1, tokens).
    """
    if tokens is None:
        return explainer

    def explain(model: nn.Module, images: Tensor, texts: Tensor, /) -> Tensor:
        token_maps = run_explainer(explainer, model, images, texts).token_maps
        if token_maps is None:
            raise ValueError(
                f"expected a map of the tokens from {explainer.name}, as it returned before; found "
                "none; return token_maps at every call or at none"
            )
        return token_maps[:, None, :tokens]

    return dataclasses.replace(explainer, explain=explain)
