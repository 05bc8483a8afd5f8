"""Other models that the user gives, to see the explainer on them; none of them is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import open_clip

from audit.models.checkpoints import all_different
from audit.models.errors import ModelError
from audit.models.loading import BUNDLED, FOLDER, ModelUnderAudit, load_model


@dataclass(frozen=True)
class OtherModel:
    """A model beside the one under audit.

    Attributes:
        source: as given, such as ``ViT-L-14:openai`` or ``local-dir:FOLDER``.
        sha256: hash of all parameters and buffers, in the dtype of the model under audit.
    """

    source: str
    sha256: str

    def load(self, like: ModelUnderAudit) -> ModelUnderAudit:
        """The model, on the device and in the dtype of another one.

        Raises:
            ModelError: it cannot be loaded any more, or is not that of before.
        """
        model = _load(self.source, like)
        if model.state_sha256() != self.sha256:
            raise ModelError(
                f"model '{self.source}' changed while the audit ran; run it again when nothing "
                "writes to its files"
            )
        return model


def names_a_model(source: str) -> bool:
    """Whether a word names a model with its weights, rather than weights alone."""
    architecture = source.partition(":")[0]
    return source.startswith(FOLDER) or architecture in {BUNDLED, *open_clip.list_models()}


def find_other_models(
    model: ModelUnderAudit, sources: Sequence[str], *, allow_download: bool = False
) -> tuple[OtherModel, ...]:
    """Load each once, so that what is wrong with it is said before hours of work.

    Args:
        model: the model under audit.
        sources: ``ARCHITECTURE:WEIGHTS`` (a tag of open_clip or a file), ``local-dir:FOLDER``, or
            ``bundled``.
        allow_download: fetch weights that are not in the local cache.

    Raises:
        ModelError: unknown, unreadable, without weights, or given twice.
        UnknownAnatomyError: of a kind that is not known.
    """
    digests = all_different(
        model.state_sha256(),
        sources,
        lambda source: _load(source, model, allow_download=allow_download).state_sha256(),
        "model '{source}' has the same weights as {other}; leave it out",
    )
    return tuple(OtherModel(source, digest) for source, digest in digests.items())


def _load(source: str, like: ModelUnderAudit, *, allow_download: bool = False) -> ModelUnderAudit:
    whole = source == BUNDLED or source.startswith(FOLDER)
    name, _, weights = (source, "", "") if whole else source.partition(":")
    if not whole and not weights:
        raise ModelError(
            f"--ladder {source}: expected a model with its weights, got an architecture alone; "
            f"give {source}:TAG with a tag of open_clip, or {source}:FILE"
        )
    return load_model(
        name,
        weights or None,
        device=str(like.device),
        dtype=like.dtype_name,
        allow_download=allow_download,
    )
