"""Other weights of the model's own architecture, which the user gives as rungs of the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from audit.models.checkpoint_order import load_file
from audit.models.checkpoints import all_different, lay_into, looks_like_file, state_sha256
from audit.models.errors import ModelError
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy


@dataclass(frozen=True)
class Checkpoint:
    """Other weights of the model's architecture.

    Attributes:
        model: name of the model, for which open_clip knows the tag.
        source: the file, or the tag of open_clip.
        sha256: hash of all parameters and buffers in the model's dtype, as of a model.
        tokenizer: folder of the model's tokenizer, where it was given.
    """

    model: str
    source: str
    sha256: str
    tokenizer: str | None = None

    def load(self, like: nn.Module) -> nn.Module:
        """A copy of a model with these weights in the place of its own.

        Args:
            like: the untouched model, left as it is; gives device and dtype.

        Raises:
            ModelError: the weights can no longer be read, or have changed since.
        """
        module = _with_weights(like, self.model, self.source, self.tokenizer)
        if state_sha256(module) != self.sha256:
            raise ModelError(
                f"checkpoint '{self.source}' changed while the audit ran; run it again when "
                "nothing writes to the file"
            )
        return module


def find_checkpoints(
    model: ModelUnderAudit, sources: Sequence[str], *, allow_download: bool = False
) -> tuple[Checkpoint, ...]:
    """Read each source once, so that what is wrong with it is said before hours of work.

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
    digests = all_different(
        model.state_sha256(),
        sources,
        lambda source: state_sha256(
            _with_weights(
                model.module, model.name, source, model.tokenizer, allow_download=allow_download
            )
        ),
        "checkpoint '{source}' holds the same weights as {other}; a ladder needs different models, "
        "so leave it out",
    )
    return tuple(
        Checkpoint(model.name, source, digest, model.tokenizer)
        for source, digest in digests.items()
    )


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
