"""Other weights of the model's own architecture, as rungs of the ladder.

The user gives them, or the model brings states of its own training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from audit.models.checkpoint_order import load_file
from audit.models.checkpoints import (
    all_different,
    lay_into,
    read_state,
    state_sha256,
)
from audit.models.errors import ModelError
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.models.wanted import looks_like_file


@dataclass(frozen=True)
class Checkpoint:
    """Other weights of the model's architecture.

    Attributes:
        model: name of the model, for which open_clip knows the tag.
        source: the file, or the tag of open_clip.
        sha256: hash of all parameters and buffers in the model's dtype, as of a model.
        tokenizer: folder of the model's tokenizer, where it was given.
        own: the model brings it; what the file does not hold is the model's.
    """

    model: str
    source: str
    sha256: str
    tokenizer: str | None = None
    own: bool = False

    @property
    def name(self) -> str:
        """What it is called: as given, or the file's stem where the model brings it."""
        return Path(self.source).stem if self.own else self.source

    def load(self, like: nn.Module) -> nn.Module:
        """A copy of a model with these weights in the place of its own.

        Args:
            like: the untouched model, left as it is; gives device and dtype.

        Raises:
            ModelError: the weights can no longer be read, or have changed since.
        """
        module = (
            _with_state(like, self.source)
            if self.own
            else _with_weights(like, self.model, self.source, self.tokenizer)
        )
        if state_sha256(module) != self.sha256:
            raise ModelError(
                f"checkpoint '{self.source}' changed while the audit ran; run it again when "
                "nothing writes to the file"
            )
        return module


def find_checkpoints(
    model: ModelUnderAudit, sources: Sequence[str], *, allow_download: bool = False
) -> tuple[Checkpoint, ...]:
    """The model's own, then those given; each is read once, so that what is wrong is said early.

    Only weights of the very same architecture are rungs of one ladder: across architectures the
    quality of maps follows no law that the literature knows (`audit.models.companion_models`). What
    the tensors do not hold, such as the number of heads, is taken from the model.

    Args:
        model: the model under audit.
        sources: checkpoint files, or tags of open_clip for the model's name.
        allow_download: fetch the weights of tags that are not in the local cache.

    Raises:
        ModelError: unreadable, of another architecture, or the same weights twice.
    """

    def digest_of(source: str) -> str:
        if source in model.training_states:
            return state_sha256(_with_state(model.module, source))
        return state_sha256(
            _with_weights(
                model.module, model.name, source, model.tokenizer, allow_download=allow_download
            )
        )

    digests = all_different(
        model.state_sha256(),
        [*model.training_states, *sources],
        digest_of,
        "checkpoint '{source}' holds the same weights as {other}; a ladder needs different models, "
        "so leave it out",
    )
    return tuple(
        Checkpoint(model.name, source, digest, model.tokenizer, source in model.training_states)
        for source, digest in digests.items()
    )


def _with_state(like: nn.Module, file: str) -> nn.Module:
    """A copy with the tensors of a file in the place of its own; the others stay.

    Raises:
        ModelError: the file is unreadable, or holds tensors that the model does not have.
    """
    module = pristine_copy(like)
    own = module.state_dict()
    lay_into(module, {**own, **read_state(file, own).tensors}, file)
    return module


def _with_weights(
    like: nn.Module,
    name: str,
    source: str,
    tokenizer: str | None,
    *,
    allow_download: bool = False,
) -> nn.Module:
    module = pristine_copy(like)
    if looks_like_file(source):
        load_file(module, source)
        return module
    other = load_model(name, source, allow_download=allow_download, tokenizer=tokenizer).module
    if str(other) != str(module):
        raise ModelError(
            f"the weights '{source}' of '{name}' belong to another architecture, such as another "
            "activation function; give a tag of the very same one"
        )
    lay_into(module, other.state_dict(), source)
    return module
