"""A model folder of transformers: read as data, so that nothing of it is executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from audit.models.errors import ModelError
from audit.models.folder_config import read_json
from audit.models.network import REMEDY

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
_FETCHED = [CONFIG, *_PREPROCESSORS, "*.safetensors", WEIGHTS[1]]
_FETCHED += ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
_OF_CODE = ("auto_map", "trust_remote_code", "custom_pipelines")
_UNSUPPORTED = ("quantization_config", "adapter", "backbone", "use_timm_backbone")
_ATTENTION = ("eager", "sdpa")


def folder_of(name: str, *, allow_download: bool) -> Path:
    """A folder, or the folder in the hub's cache that a name stands for.

    Raises:
        ModelError: there is neither.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        kept = snapshot_download(name, local_files_only=not allow_download, allow_patterns=_FETCHED)
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = "the hub cannot be reached, or has none" if allow_download else REMEDY
        raise ModelError(
            f"model 'hf:{name}': expected a folder, or a name that is in the hub's cache, found "
            f"neither; {reason}"
        ) from error
    return Path(kept)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model, which names no code and nothing that is not supported.

    Raises:
        ModelError: no such file, no JSON, or a key that would run code; the message names it.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ModelError(
            f"expected {CONFIG} in the folder '{folder}', found none; give a folder that "
            "save_pretrained wrote"
        )
    config = read_json(file)
    for key, value in _keys(config):
        name = key.rpartition(".")[2]
        if name in _OF_CODE and value:
            raise ModelError(
                f"{file}: {key} names code of the folder, which is not run; expected a model of "
                "the installed transformers"
            )
        if name in _UNSUPPORTED and value:
            raise ModelError(f"{file}: {key}: {value!r} is not supported; expected none")
        if name.lstrip("_").startswith("attn_implementation") and value not in (None, *_ATTENTION):
            raise ModelError(
                f"{file}: {key}: expected {' or '.join(_ATTENTION)}, found {value!r}, which may be "
                "code of a hub"
            )
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"'{folder}' holds an adapter; merge it into its model (peft's merge_and_unload), and "
            "save that"
        )
    return config


def read_preprocessor(folder: Path) -> dict[str, Any] | None:
    """The configuration of the picture's preprocessing, None where there is none.

    Raises:
        ModelError: it names code.
    """
    for name in _PREPROCESSORS:
        if not (folder / name).is_file():
            continue
        config = read_json(folder / name)
        found = config.get("image_processor", config)
        for key, value in _keys(config):
            if key.rpartition(".")[2] in _OF_CODE and value:
                raise ModelError(
                    f"{folder / name}: {key} names code of the folder, which is not run; expected "
                    "an image processor of the installed transformers"
                )
        if isinstance(found, dict):
            return found
    return None


def weights_at_hand(folder: Path) -> bool:
    """Whether a folder holds weights of transformers."""
    return any((folder / name).is_file() for name in WEIGHTS)


def _keys(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        yield f"{place}{key}", value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{place}{key}.")
