"""Companion models: others that the user gives, to see the explainer on them; none is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.models.checkpoints import all_different
from audit.models.errors import ModelError
from audit.models.loading import BUNDLED, known_models, load_model
from audit.models.model_sources import source_of
from audit.models.model_under_audit import ModelUnderAudit


@dataclass(frozen=True)
class CompanionModel:
    """A model that the user gives beside the one under audit.

    Attributes:
        source: as given, such as ``ViT-L-14:openai`` or ``local-dir:FOLDER``.
        sha256: hash of all parameters and buffers, in the dtype of the model under audit.
    """

    source: str
    sha256: str

    def load(self, like: ModelUnderAudit) -> ModelUnderAudit:
        """The model, on the device and in the dtype of another one.

        Raises:
            ModelError: it can no longer be loaded, or has changed since.
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
    if source == BUNDLED or (found := source_of(source)).prefix or found.whole:
        return True
    return source.partition(":")[0] in known_models()


def find_companion_models(
    model: ModelUnderAudit, sources: Sequence[str], *, allow_download: bool = False
) -> tuple[CompanionModel, ...]:
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
    return tuple(CompanionModel(source, digest) for source, digest in digests.items())


def _load(source: str, like: ModelUnderAudit, *, allow_download: bool = False) -> ModelUnderAudit:
    found = source_of(source)
    whole = source == BUNDLED or found.whole
    rest = source.removeprefix(found.prefix)
    name, _, weights = (source, "", "") if whole else rest.partition(":")
    name = name if whole else f"{found.prefix}{name}"
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
        tokenizer=like.tokenizer,
        allow_download=allow_download,
    )
