"""The inside of a model of any library, found by following a picture through it.

A tower is known where every block of it is: each is in the table of blocks and, rebuilt from its
parts, gives what it gives itself. What comes before the first block and behind the last one is
computed by the model. The whole is tried on a drawn picture before it is believed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from audit.models.anatomy import Anatomy, UnknownAnatomyError, anatomy_of
from audit.models.block_check import is_close, largest_error, relative_error
from audit.models.block_table import why_not
from audit.models.block_tower import BlockTower
from audit.models.errors import ModelError
from audit.models.identity import architecture_sha256
from audit.models.model_under_audit import ModelInterface
from audit.models.patch_grids import observed_grid
from audit.models.readout import Readout, readout_of
from audit.models.tower_chain import ChainTower, chain_tower
from audit.models.transformer_block import Block
from audit.models.value_flow import tensors_among

_TEXT = "a photo of a cat."
_SEED = 0
_MOST_PREFIX = 16
_MOST_STRUCTURES = 16


class _Nothing(nn.Module):
    """Stands for a model, so that what is remembered of one does not keep it."""

    def get_submodule(self, target: str) -> nn.Module:  # noqa: ARG002 - has every part
        return self


_NOTHING = _Nothing()
Remembered = Anatomy | str
"""An anatomy of `_NOTHING`, or why there is none."""
_OF_MODULE: WeakKeyDictionary[nn.Module, tuple[ModelInterface, Remembered]] = WeakKeyDictionary()
_OF_STRUCTURE: dict[str, Remembered] = {}


def known_anatomy(interface: ModelInterface, module: nn.Module) -> Anatomy:
    """View the inside of a model.

    It is found once for each structure; a copy of the model with other weights has the same.

    Args:
        interface: how the module is called.
        module: in eval mode; left as it is.

    Raises:
        UnknownAnatomyError: it is not known; the message says what is not.
    """
    named: Anatomy | str
    try:
        named = anatomy_of(module)
    except UnknownAnatomyError as error:
        named = str(error)
    if isinstance(named, Anatomy) and named.text_tower is not None:
        return named
    known = _OF_MODULE.get(module)
    if known is None or known[0] is not interface:
        structure = architecture_sha256(module, interface.configuration())
        if structure not in _OF_STRUCTURE:
            if len(_OF_STRUCTURE) >= _MOST_STRUCTURES:
                _OF_STRUCTURE.clear()
            _OF_STRUCTURE[structure] = _found(interface, module, named)
        known = _OF_MODULE[module] = interface, _OF_STRUCTURE[structure]
    if isinstance(known[1], str):
        raise UnknownAnatomyError(known[1])
    return known[1].on(module)


@torch.no_grad()
def _found(interface: ModelInterface, module: nn.Module, named: Anatomy | str) -> Remembered:
    if isinstance(named, Anatomy):
        return replace(named, text_tower=_text_tower(interface, module)).on(_NOTHING)
    if all(why_not(part) is not None for part in module.modules()):
        return f"{named}; nor is any part of it a block of a class that is known"
    try:
        image = _image_tower(interface, module)
    except UnknownAnatomyError as error:
        return str(error)
    return Anatomy(module, image, _text_tower(interface, module)).on(_NOTHING)


def _image_tower(interface: ModelInterface, module: nn.Module) -> BlockTower:
    size = interface.image_size(module)
    place = next(p for p in module.parameters() if p.is_floating_point())
    generator = torch.Generator().manual_seed(_SEED)
    given = torch.rand(1, 3, size, size, generator=generator).to(place)
    chain = chain_tower("image", module, interface.features, given)
    tower = _blocks_of(chain, given)
    if any(any(True for _ in tensors_among(dict(b.extra))) for b in tower.blocks):
        _expect_nothing_learned(tower, given)
    grid = observed_grid(module, size, lambda images: interface.features(module, images))
    x = tower.embed(given)
    prefix = x.shape[1] - grid[0] * grid[1]
    if not 0 <= prefix <= _MOST_PREFIX:
        raise UnknownAnatomyError(
            f"expected a token for each cell of a grid of {grid[0]} by {grid[1]}, and a few before "
            f"them, to enter '{tower.blocks[0].path}', got {x.shape[1]} tokens"
        )
    tower = replace(tower, grid=grid, prefix=prefix)
    _expect_in_order(tower, given, x)
    return replace(tower, reading=_reading(tower, x))


def _text_tower(interface: ModelInterface, module: nn.Module) -> BlockTower | None:
    if not interface.uses_templates:
        return None
    try:
        place = next(p for p in module.parameters() if p.is_floating_point())
        given = interface.encode([_TEXT]).to(place.device)
        tower = _blocks_of(chain_tower("text", module, interface.target_features, given), given)
    except (UnknownAnatomyError, ModelError):
        return None
    x = tower.run(tower.embed(given), 0, len(tower.blocks))
    others = _drawn_like(x)
    others[0, tower.pooled_index(given)] = x[0, tower.pooled_index(given)]
    alike = is_close(tower.score_features(others), tower.score_features(x))
    return replace(tower, pools_last=not alike)


def _blocks_of(chain: ChainTower, given: Tensor) -> BlockTower:
    """The tower of a chain that holds known blocks in a row, and no other block."""
    known = [i for i, step in enumerate(chain.blocks) if isinstance(step, Block)]
    if not known:
        raise UnknownAnatomyError(_why_no_blocks(chain))
    for i, step in enumerate(chain.blocks):
        odd = i not in known and (known[0] < i < known[-1] or why_not(step.module) is None)
        if odd or (known[0] <= i < known[-1] and not chain.steps[i].goes_on):
            raise UnknownAnatomyError(
                f"expected the blocks of the {chain.name} tower one after another, all of them "
                f"known, found '{step.path}' ({type(step.module).__name__}), which is none or is "
                "not what its parts promise"
            )
    blocks = tuple(replace(chain.blocks[i], index=n) for n, i in enumerate(known))
    tower = BlockTower(chain, known[0], blocks)  # type: ignore[arg-type]
    x = tower.run(tower.embed(given), 0, len(blocks))
    made, own = tower.score_features(x), tower.features(given)
    if not is_close(made, own):
        raise UnknownAnatomyError(
            f"expected the {chain.name} tower, run block by block, to give what the model's own "
            f"forward gives to a relative error of {largest_error(own.dtype):.0e}, got "
            f"{relative_error(made, own):.1e}"
        )
    return tower


def _why_no_blocks(chain: ChainTower) -> str:
    if not chain.blocks:
        return (
            f"expected the {chain.name} tower as a row of modules that everything runs through, "
            "found none"
        )
    parts = [p for p in chain.model.modules() if why_not(p) is None]
    names = sorted({type(p).__name__ for p in parts})
    return (
        f"expected blocks in a row in the {chain.name} tower, each of which gives what its parts "
        f"promise, found none; its {', '.join(names)} are not run so, or compute something else"
    )


def _expect_in_order(tower: BlockTower, given: Tensor, x: Float[Tensor, "1 t d"]) -> None:
    """Tokens stand for patches row by row: other pixels there move the right token most."""
    rows, columns = tower.grid
    for row, column in (0, 0), (0, columns - 1), (rows - 1, 0), (rows // 2, columns // 2):
        other = given.clone()
        high, wide = given.shape[2] // rows, given.shape[3] // columns
        patch = other[:, :, row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        patch.copy_(1 - patch)
        moved = (tower.embed(other) - x)[0].norm(dim=-1)
        expected = tower.prefix + row * columns + column
        if int(moved.argmax()) != expected:
            raise UnknownAnatomyError(
                f"expected token {expected} to stand for the patch in row {row}, column {column}, "
                f"found that token {int(moved.argmax())} does"
            )


class _Whole(nn.Module):
    """The feature of a tower as the forward of a module."""

    def __init__(self, tower: BlockTower) -> None:
        super().__init__()
        self.model, self._forward = tower.chain.model, tower.chain.forward

    def forward(self, inputs: Tensor) -> Tensor:
        return self._forward(self.model, inputs)


def _expect_nothing_learned(tower: BlockTower, given: Tensor) -> None:
    """What blocks are given beside tokens, such as rotary positions, is the same for all weights.

    It is taken from one pass, and would be another's in a copy of the model with other weights.
    """
    whole, met = _Whole(tower), list[Tensor]()

    def listen(_: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        met.extend(tensors_among((args[1:], keywords)))

    weights = {n: p.detach() for n, p in whole.named_parameters() if p.is_floating_point()}
    with ExitStack() as hooks, torch.enable_grad():
        for block in tower.blocks:
            handle = block.module.register_forward_pre_hook(listen, with_kwargs=True)
            hooks.callback(handle.remove)
        functional_call(whole, {n: w.requires_grad_() for n, w in weights.items()}, (given,))
    if any(t.requires_grad for t in met):
        raise UnknownAnatomyError(
            f"expected '{tower.blocks[0].path}' to be given what no weight decides, beside the "
            "tokens, found learned positions"
        )


def _reading(tower: BlockTower, embedded: Float[Tensor, "1 t d"]) -> Readout | None:
    x = tower.run(embedded, 0, len(tower.blocks))
    x = x + x.std() * _drawn_like(x)
    last = tower.first + len(tower.blocks) - 1
    return readout_of(tower.chain, last, tower.prefix, x, tower.score_features(x))


def _drawn_like(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(_SEED)).to(x)
