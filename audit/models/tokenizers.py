"""Tokenizers, built from what is known: no code of a model's folder runs, no hub is asked unasked.

open_clip's own tokenizer of bytes, or a ``tokenizer.json`` of the library ``tokenizers``, which is
data alone. What transformers would load beyond that, classes that a folder or a hub brings along,
is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Int
from open_clip.tokenizer import SimpleTokenizer, get_clean_fn
from torch import Tensor

from audit.models.errors import ModelError
from audit.models.folder_config import read_json
from audit.models.network import REMEDY, file_of_hub

Tokenizer = Callable[[list[str]], Int[Tensor, "texts context"]]
_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
_MOST_BYTES = 1 << 28
_CLEANING = ("canonicalize", "lower", "whitespace")
_CONTEXT = 77
GIVE = "give --tokenizer FOLDER with a folder that holds its tokenizer.json"


class TokenizerMissingError(ModelError):
    """The tokenizer of a model is not at hand."""


def build_tokenizer(
    name: str,
    text: Mapping[str, Any],
    folder: Path | None,
    *,
    allow_download: bool,
    tokenizer: Path | None = None,
) -> Tokenizer:
    """The tokenizer of a model of open_clip.

    Args:
        name: of the model, for messages.
        text: its section ``text_cfg``.
        folder: where the model lies; None for an architecture that open_clip knows.
        allow_download: ask the hub for a ``tokenizer.json`` that is not in the cache.
        tokenizer: a folder with a ``tokenizer.json`` to use in the place of the model's own.

    Raises:
        TokenizerMissingError: it is not at hand; the message names it and the remedy.
        ModelError: it needs code, or its vocabulary is larger than the model's.
    """
    context = int(text.get("context_length", _CONTEXT))
    of_hub = text.get("hf_tokenizer_name")
    given = _options(name, text, file=bool(of_hub))
    if text.get("tokenizer_mode"):
        raise ModelError(
            f"model '{name}': text_cfg.tokenizer_mode: expected none, found "
            f"'{text['tokenizer_mode']}', which is not supported"
        )
    if tokenizer is not None or of_hub:
        file = (
            _file(name, str(of_hub), folder, allow_download=allow_download)
            if tokenizer is None
            else _given(tokenizer)
        )
        found: FileTokenizer | SimpleTokenizer = FileTokenizer(file, context, given)
    elif folder is None and "siglip" in name.lower():
        raise TokenizerMissingError(
            f"model '{name}': its tokenizer lies at an address of open_clip's, which is not "
            f"supported; {GIVE}, or install a newer open_clip, whose configuration names one"
        )
    else:
        found = SimpleTokenizer(context_length=context, **given)
    expect_vocabulary(name, "text_cfg.vocab_size", found.vocab_size, text.get("vocab_size"))
    return found


def tokenizer_of(
    name: str, folder: Path, context: int, vocabulary: int, *, tokenizer: Path | None = None
) -> FileTokenizer:
    """The tokenizer that lies in a model's folder, or in another one that is given.

    Args:
        name: of the model, for messages.
        folder: of the model.
        context: number of tokens of a text.
        vocabulary: of the model.
        tokenizer: a folder to use in the place of the model's.

    Raises:
        TokenizerMissingError: there is none.
        ModelError: it needs code, or its vocabulary is larger than the model's.
    """
    if tokenizer is None and not (folder / _FILE).is_file():
        raise TokenizerMissingError(
            f"model '{name}': expected its tokenizer as {_FILE} in the folder, found none; save "
            f"the fast tokenizer there (save_pretrained writes {_FILE}), or {GIVE}"
        )
    found = FileTokenizer(folder / _FILE if tokenizer is None else _given(tokenizer), context)
    expect_vocabulary(name, "text_config.vocab_size", found.vocab_size, vocabulary)
    return found


def expect_vocabulary(name: str, key: str, tokens: int, vocabulary: int | None) -> None:
    """The model knows every token of its tokenizer.

    Raises:
        ModelError: it does not.
    """
    if vocabulary is not None and tokens > int(vocabulary):
        raise ModelError(
            f"model '{name}': {key}: expected at least the {tokens:,} tokens of its tokenizer, "
            f"found {int(vocabulary):,}; correct it, or name the tokenizer that the model was "
            "trained with"
        )


def _given(tokenizer: Path) -> Path:
    file = tokenizer / _FILE
    if not file.is_file():
        raise ModelError(
            f"--tokenizer {tokenizer}: expected a folder with {_FILE}, found none; give the folder "
            "that save_pretrained of the tokenizer wrote"
        )
    return file


def _options(name: str, text: Mapping[str, Any], *, file: bool) -> dict[str, Any]:
    """Options of a tokenizer out of those that only choose how text is cleaned."""
    given = text.get("tokenizer_kwargs") or {}
    known: dict[str, Callable[[Any], bool]] = {"clean": lambda v: v in _CLEANING}
    if file:
        known["strip_sep_token"] = lambda v: isinstance(v, bool)
    else:
        known["additional_special_tokens"] = lambda v: (
            isinstance(v, list) and all(isinstance(token, str) for token in v)
        )
    for key, value in given.items() if isinstance(given, dict) else [("", given)]:
        if key not in known or not known[key](value):
            raise ModelError(
                f"model '{name}': text_cfg.tokenizer_kwargs.{key}: {value!r} is not supported, "
                f"since a tokenizer is built from data alone; known are {', '.join(known)}"
            )
    return dict(given)


def _file(name: str, tokenizer: str, folder: Path | None, *, allow_download: bool) -> Path:
    """The ``tokenizer.json`` of a tokenizer that a configuration names."""
    if folder is not None:
        file = folder / _FILE
        if not file.is_file():
            raise TokenizerMissingError(
                f"model '{name}' names the tokenizer '{tokenizer}', expected its {_FILE} in the "
                f"folder, found none; save the fast tokenizer there (save_pretrained writes "
                f"{_FILE}), or {GIVE}; no hub is asked and no code of a folder runs"
            )
        return file
    found = file_of_hub(tokenizer, _FILE, allow_download=allow_download)
    if found is None:
        remedy = f"its repository has no {_FILE}, or the hub cannot be reached"
        raise TokenizerMissingError(
            f"model '{name}' needs the tokenizer '{tokenizer}', which is not in the local cache; "
            f"{remedy if allow_download else REMEDY}, or {GIVE}"
        )
    file_of_hub(tokenizer, _CONFIG, allow_download=allow_download)  # lies beside it, where it is
    return found


class FileTokenizer:
    """A tokenizer out of a ``tokenizer.json``: texts padded and cut to the model's context."""

    def __init__(
        self, file: Path, context: int, given: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        config = read_json(file.parent / _CONFIG) if (file.parent / _CONFIG).is_file() else {}
        if "auto_map" in config:
            raise ModelError(
                f"{file.parent / _CONFIG}: auto_map names code of a tokenizer, which is not run; "
                f"expected a tokenizer that {_FILE} describes in full"
            )
        self._rules = _rules(file)
        pad = _token(config.get("pad_token")) or (self._rules.padding or {}).get("pad_token")
        pad_id = None if pad is None else self._rules.token_to_id(pad)
        if pad_id is None:
            raise ModelError(
                f"{file}: expected a token to fill up short texts, found none; name it as "
                f"pad_token in {_CONFIG} beside it"
            )
        side = str(config.get("padding_side") or "right")
        self._rules.enable_truncation(context)
        self._rules.enable_padding(direction=side, length=context, pad_id=pad_id, pad_token=pad)
        self._clean = get_clean_fn(str(given.get("clean", "whitespace")))
        separator = _token(config.get("sep_token"))
        self._stripped = self._rules.token_to_id(separator) if separator else None
        if not given.get("strip_sep_token"):
            self._stripped = None
        self.vocab_size = int(self._rules.get_vocab_size())

    def __call__(self, texts: list[str]) -> Int[Tensor, "texts context"]:
        """A row of token ids for each text."""
        rows = self._rules.encode_batch([self._clean(text) for text in texts])
        ids = torch.tensor([row.ids for row in rows], dtype=torch.long)
        return ids if self._stripped is None else ids.masked_fill(ids == self._stripped, 0)


def _rules(file: Path) -> Any:
    try:
        from tokenizers import Tokenizer as Rules
    except ImportError as error:
        raise ModelError(
            f"{file} needs the package tokenizers; install it with 'pip install tokenizers'"
        ) from error
    if file.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{file}: expected at most {_MOST_BYTES:,} bytes")
    try:
        return Rules.from_file(str(file))
    except Exception as error:  # tokenizers raises nothing more specific
        raise ModelError(f"{file}: not a readable tokenizer ({error})") from error


def _token(value: object) -> str | None:
    """A token, which transformers writes as a word or as a table."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None
