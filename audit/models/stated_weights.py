"""Weights are stated: a tag of the library, a checkpoint file, or random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit.models.errors import ModelError
from audit.models.network import REMEDY
from audit.models.wanted import RANDOM, looks_like_file
from audit.models.written_models import no_weights
from audit.nearest_name import hint


def expect_stated(source: str, pretrained: str | None, tags: Sequence[str]) -> None:
    """The weights of an architecture are stated, and a file or tag of that name exists.

    Raises:
        ModelError: else; the message names the tags.
    """
    if pretrained is None:
        raise ModelError(no_weights(source, tags))
    if pretrained == RANDOM or pretrained in tags:
        return
    if not looks_like_file(pretrained):
        known = f"known are {', '.join(tags)}" if tags else "its library knows none"
        raise ModelError(
            f"unknown weights '{pretrained}' of '{source}'{hint(pretrained, tags, cutoff=0.3)}; "
            f"{known}; or give a checkpoint file, or random"
        )
    if not Path(pretrained).is_file():
        raise ModelError(f"no checkpoint file '{pretrained}'; give the path of an existing file")


def expect_at_hand(source: str, tag: str, *, at_hand: bool, allow_download: bool) -> None:
    """The weights of a tag lie in the local cache, or may be fetched.

    Raises:
        ModelError: neither.
    """
    if not at_hand and not allow_download:
        raise ModelError(
            f"the weights '{tag}' of '{source}' are not in the local cache, and nothing is "
            f"downloaded unasked; {REMEDY}, or give a checkpoint file with --pretrained FILE"
        )


@contextmanager
def told_in_one_line(source: str, pretrained: str | None) -> Iterator[None]:
    """Whatever a library raises while it makes a model, as one line that names the model.

    Raises:
        ModelError: for any other error.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # a library may break anywhere
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"cannot load model '{source}' with weights '{pretrained}': {cause}; give a file with "
            f"--pretrained FILE, weights that are in the local cache, or {REMEDY}"
        ) from error
