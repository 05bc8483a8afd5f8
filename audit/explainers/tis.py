"""TIS: which patches, when only they are run, leave a high score."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor, nn

from audit.explainers.attention_pass import Pairs, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.probed_features import probed_features
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def tis(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    masks: int = 1024,
    keep: float = 0.5,
    seed: int = 0,
) -> Explanation:
    """TIS: mean score of runs of some patches alone, over the runs in which a patch takes part.

    Each channel of each block's output is a map over the patches; K-means puts these maps into as
    many clusters as there are masks, and a mask keeps the patches at which the center of its
    cluster is largest. All other patches are taken away after positions are added, so that the
    blocks see fewer tokens. Pairs that share a picture share its masks and runs.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        interface: how the model is called.
        masks: how many; fewer where there are fewer channels. 128 are a cheaper setting.
        keep: share of the patches that a mask keeps, rounded down.
        seed: of the first centers of K-means.

    Returns:
        Maps (pairs, rows, columns) in units of the score, and the model's scores. A patch that no
        mask keeps has the mean over all masks.

    Raises:
        ValueError: no masks, a share that keeps no patch or more than all, or blocks that turn
            tokens by their places, so that none can be taken away.

    Source:
        Englebert et al., "Explaining through Transformer Input Sampling" (ICCV Workshops 2023),
        section 3, where the score is a probability; released code `tis.py`.
    """
    pairs = pairs_of(model, images, targets, interface)
    tower, kept = pairs.tower, _patches_kept(pairs, masks, keep)
    x = tower.embed(pairs.images)
    channels, left = _channels(pairs, x)
    chosen = torch.stack([_kept_patches(own, masks, kept, seed) for own in channels]).to(x.device)
    prefix = x.shape[1] - tower.grid[0] * tower.grid[1]
    places = torch.cat([chosen.new_ones(*chosen.shape[:2], prefix), chosen], 2)

    def features_of(tokens: Float[Tensor, "rows tokens width"]) -> Float[Tensor, "rows feature"]:
        return pairs.features(tower.run(tokens, 0, len(tower.blocks))[:, 0])

    features = probed_features(
        features_of,
        lambda of, number: x[of][places[of, number]].unflatten(0, (len(of), -1)),
        len(x),
        chosen.shape[1],
        x.device,
    )
    each = widen(torch.einsum("pme,pe->pm", features[pairs.picture], pairs.wanted))
    return Explanation(pairs.on_grid(_mean_where_kept(each, chosen[pairs.picture])), left)


def _patches_kept(pairs: Pairs, masks: int, keep: float) -> int:
    """How many patches a mask keeps.

    Raises:
        ValueError: see `tis`.
    """
    tower = pairs.tower
    kept = int(keep * tower.grid[0] * tower.grid[1])
    if masks < 1 or not 0 < keep <= 1 or not kept:
        raise ValueError(
            f"expected masks of at least 1 and keep in ]0, 1] that keeps a patch of "
            f"{tower.grid[0]}x{tower.grid[1]}, got masks={masks}, keep={keep}"
        )
    if any(block.rotary is not None for block in tower.blocks):
        raise ValueError(
            f"expected blocks that take any tokens, found rotary positions in "
            f"'{tower.blocks[0].path}'; choose atman, which suppresses patches instead"
        )
    return kept


def _channels(
    pairs: Pairs, x: Float[Tensor, "pictures tokens width"]
) -> tuple[Float[Tensor, "pictures channels patches"], Float[Tensor, " pairs"]]:
    """Every channel of every block's output as a map over the patches, and the scores."""
    found = []
    for number in range(len(pairs.tower.blocks)):
        x = pairs.tower.run(x, number, number + 1)
        found.append(pairs.patches(widen(x).mT))
    return torch.cat(found, 1), pairs.scores(x)


def _kept_patches(
    channels: Float[Tensor, "channels patches"], masks: int, kept: int, seed: int
) -> Tensor:
    """The patches that each mask keeps, (masks, patches), boolean."""
    rows = channels.cpu().numpy()
    clusters = min(masks, len(np.unique(rows, axis=0)))
    means = KMeans(clusters, init="random", n_init=1, random_state=seed).fit(rows)
    centers = torch.from_numpy(means.cluster_centers_)
    return torch.zeros(centers.shape, dtype=torch.bool).scatter_(1, centers.topk(kept).indices, 1)


def _mean_where_kept(
    scores: Float[Tensor, "pairs masks"], chosen: Tensor
) -> Float[Tensor, "pairs patches"]:
    """Of each patch the mean over the masks that keep it, else over all."""
    weights = chosen.to(scores)
    count = weights.sum(1)
    means = (scores[:, None] @ weights)[:, 0] / count.clamp_min(1)
    return torch.where(count > 0, means, scores.mean(1, keepdim=True))
