"""ViT-CX: causal impact of masks that are made of the tokens' own channels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.probed_features import batch_of
from audit.explainers.score_cam import scaled_to_picture
from audit.models.anatomy import KnownTower, anatomy_of
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import ScoreInterface, interface_of


@torch.no_grad()
def vit_cx(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    distance: float = 0.1,
    noise: float = 0.1,
    seed: int = 0,
) -> Explanation:
    """ViT-CX: masks of alike channels, weighed by what the picture under each does to the score.

    Channels of the patches behind the first norm of the last block are enlarged to the picture and
    scaled to [0, 1]; those whose cosine distance is small are added and scaled again to one mask
    M. With noise n, drawn for each mask, its weight is S(x M + n (1 - M)) - S(x + n (1 - M)) + S(x)
    and the map is the mean over masks weighed so, divided by how much of them covers each pixel.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        interface: how the model is called.
        distance: channels are joined while the largest cosine distance among them is below it.
        noise: standard deviation of what stands where a mask hides the picture.
        seed: of the noise.

    Returns:
        Maps (pairs, rows, columns) in units of the score, and the model's scores. A pixel that no
        mask covers has 0.

    Source:
        Xie et al., "ViT-CX: Causal Explanation of Vision Transformers" (IJCAI 2023), section 4,
        where the score is a probability; released code `ViT_CX.py`.
    """
    called: ScoreInterface = interface or interface_of(model)
    tower = (anatomy_of(model) if interface is None else interface.anatomy(model)).image
    pictures, wanted = distinct_rows(images), target_features(called, model, targets)
    distinct = images[pictures.first]
    features = called.features(model, distinct)
    maps = widen(images).new_empty(len(images), *images.shape[-2:])
    for number, picture in enumerate(distinct):
        mine = pictures.of == number
        masks = channel_masks(tower, picture, distance)
        gains = _gains(called, model, picture, masks.to(picture.dtype), noise, seed)
        weights = widen((gains + features[number]) @ wanted[mine].T)
        cover = masks.sum(0)
        weighed = torch.einsum("mp,mhw->phw", weights, masks) / len(masks)
        maps[mine] = torch.where(cover > 0, weighed / cover.clamp_min(_TINY), 0)
    scores = (features[pictures.of] * wanted).sum(-1)
    return Explanation(patch_means(maps, tower.grid), scores)


_TINY = 1e-30


def channel_masks(
    tower: KnownTower, picture: Float[Tensor, "3 H W"], distance: float
) -> Float[Tensor, "masks H W"]:
    """The masks of a picture: channels of the last block's normed patches, alike ones as one."""
    rows, columns = tower.grid
    last = tower.blocks[-1]
    tokens = last.normalize(tower.run(tower.embed(picture[None]), 0, last.index))
    maps = widen(tokens)[:, -rows * columns :].mT.unflatten(2, (rows, columns))
    channels = scaled_to_picture(maps, (picture.shape[-2], picture.shape[-1]))[0]
    unit = functional.normalize(channels.flatten(1), dim=1)
    apart = (1 - unit @ unit.T).clamp_min(0).fill_diagonal_(0).cpu().numpy()
    clusters = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="complete", distance_threshold=distance
    ).fit_predict(apart)
    alike = torch.as_tensor(clusters, device=channels.device)
    sums = channels.new_zeros(int(alike.max()) + 1, *channels.shape[1:])
    sums.index_add_(0, alike, channels)
    low, high = (end(sums, (1, 2), keepdim=True) for end in (torch.amin, torch.amax))
    return (sums - low) / (high - low).clamp_min(_TINY)


def _gains(
    interface: ScoreInterface,
    model: nn.Module,
    picture: Float[Tensor, "3 H W"],
    masks: Float[Tensor, "masks H W"],
    noise: float,
    seed: int,
) -> Float[Tensor, "masks feature"]:
    """By how much the feature of what a mask shows exceeds that of the picture with its noise."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for some in masks[:, None].split(max(1, batch_of(picture.device) // 2)):
        draws = [torch.randn(picture.shape, generator=generator) for _ in some]
        hidden = noise * torch.stack(draws).to(picture) * (1 - some)
        both = torch.cat([picture * some + hidden, picture + hidden])
        masked, noisy = interface.features(model, both).chunk(2)
        found.append(masked - noisy)
    return torch.cat(found)
