"""How a picture enters a model, by any function: masks and colors follow from the function itself.

What is done to a picture before a model is nearly always a move of its pixels (resize, crop, pad)
and one linear change of every color. Then a mask moves with the picture by the same function, as
its share of the way from black to white, and colors come back the same way; nothing needs to be
known of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from audit.models.errors import ModelError

_TOLERANCE = 1e-3
_GRAY = 102  # two fifths of the way from black to white


@dataclass(frozen=True)
class PictureTransform:
    """A function from a picture to the model's input; make one by `PictureTransform.of`.

    Attributes:
        function: from a PIL picture in RGB to a tensor (3, H, W), H equal to W.
        size: H and W in pixels.
        linear: whether it changes each color linearly, as normalization does.
        described: in words that are the same in every process, for the model's identity.
    """

    function: Callable[[Image.Image], Tensor]
    size: int
    linear: bool
    described: str

    @classmethod
    def of(cls, function: Callable[..., Any], described: str = "") -> PictureTransform:
        """Try a function on pictures of one color.

        Raises:
            ModelError: it raises, or gives no square tensor of three channels.
        """
        try:
            black = _plain(function, 0)
        except Exception as error:  # of the user's or a library's code
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError(
                f"preprocess: expected a function from a PIL picture to a tensor (3, H, W), got "
                f"{cause} on a picture of 320×240 pixels"
            ) from error
        if not isinstance(black, Tensor) or black.ndim != 3 or black.shape[0] != 3:
            found = tuple(black.shape) if isinstance(black, Tensor) else type(black).__name__
            raise ModelError(
                f"preprocess: expected a tensor (3, H, W) of one picture, got {found}; leave out "
                "the dimension of the batch, and end with ToTensor or its like"
            )
        if black.shape[1] != black.shape[2] or not black.is_floating_point():
            raise ModelError(
                "preprocess: expected square pictures of floating point numbers, got "
                f"{black.shape[1]}×{black.shape[2]} of {black.dtype}; resize or crop to a square"
            )
        gray, white = (_plain(function, level) for level in (_GRAY, 255))
        wanted = black + (white - black) * (_GRAY / 255)
        linear = bool((gray - wanted).abs().max() <= _TOLERANCE * (white - black).abs().max())
        return cls(function, int(black.shape[1]), linear, described or repr(function))

    def __call__(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""
        return self.function(picture.convert("RGB"))

    def mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is.

        Raises:
            ModelError: the function is not linear in the colors, so that it moves no masks.
        """
        if not self.linear:
            raise ModelError(
                "preprocess changes colors in a way that depends on the picture, so that it cannot "
                "move masks; give preprocess_mask too, a function from a mask to (1, H, W)"
            )
        black, white = (_plain(self.function, level, mask.size) for level in (0, 255))
        moved = self.function(mask.convert("L").convert("RGB"))
        return _share(moved, black, white).mean(0, keepdim=True)

    def colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""
        if not self.linear:
            return (image - image.amin()) / (image.amax() - image.amin()).clamp_min(1e-12)
        side = (self.size, self.size)
        black, white = (_plain(self.function, level, side) for level in (0, 255))
        return _share(image, *(c.to(image).amax((1, 2), keepdim=True) for c in (black, white)))


def _share(x: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """How far each value is on the way from black to white; 0 where both are the same."""
    way = white - black
    return torch.where(way.abs() > 1e-12, (x - black) / way, torch.zeros_like(x))


def _plain(
    function: Callable[[Image.Image], Any], level: int, size: tuple[int, int] = (320, 240)
) -> Any:
    return function(Image.new("RGB", size, (level, level, level)))
