"""OpenAI's words for ImageNet, which come with open_clip: names of classes, and prompts."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

_SYNSET = re.compile(r"n\d{8}")


def names_of_synsets(synsets: Sequence[str]) -> tuple[str, ...]:
    """The names of ImageNet's classes in OpenAI's words; what is no synset of its stays as it is.

    These words tell the two cranes apart, and the two kinds of maillot.
    """
    known = _names()
    return tuple(known.get(one, one) for one in synsets)


def looks_like_synset(name: str) -> bool:
    """Whether a name is the id of a set of synonyms of WordNet, such as ``n01440764``."""
    return _SYNSET.fullmatch(name) is not None


def openai_templates() -> tuple[str, ...]:
    """The 80 prompts of OpenAI for ImageNet, each with one ``{}``."""
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return tuple(one("{}") for one in OPENAI_IMAGENET_TEMPLATES)


@functools.cache
def _names() -> Mapping[str, str]:
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    every = range(info.num_classes())
    return {str(info.index_to_label_name(i)): IMAGENET_CLASSNAMES[i] for i in every}
