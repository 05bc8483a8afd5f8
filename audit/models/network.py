"""No network unasked: what is not on this machine is fetched only where the user allows it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import open_clip
import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from open_clip import constants as names

from audit.models.errors import ModelError

REMEDY = "give --allow-download to fetch it"
_URL_CACHE = "~/.cache/clip"  # where open_clip keeps what it fetches by address


class NetworkRefusedError(OSError):
    """A library reached for the network where the user did not allow it."""


@contextmanager
def network(*, allowed: bool) -> Iterator[None]:
    """Libraries that are called within find no network in this thread, unless it is allowed.

    Hubs are told that they are offline, so that they look into their caches alone; what asks all
    the same is refused before a name is resolved or a connection is made.
    """
    if allowed:
        yield
        return
    owner = threading.get_ident()

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if threading.get_ident() == owner:
                _refuse()
            return real(*given, **named)

        return call

    resolve, connect, offline = socket.getaddrinfo, socket.socket.connect, constants.HF_HUB_OFFLINE
    socket.getaddrinfo = refusing(resolve)
    socket.socket.connect = refusing(connect)  # type: ignore[method-assign]
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        socket.getaddrinfo = resolve
        socket.socket.connect = connect  # type: ignore[method-assign]
        constants.HF_HUB_OFFLINE = offline


def _refuse() -> NoReturn:
    raise NetworkRefusedError("the network was asked for, which only --allow-download permits")


def expect_weights_at_hand(name: str, tag: str, *, allow_download: bool) -> None:
    """The weights of a tag lie in the local cache, or may be fetched.

    Raises:
        ModelError: neither.
    """
    if allow_download or _is_at_hand(open_clip.get_pretrained_cfg(name, tag)):
        return
    raise ModelError(
        f"the weights '{tag}' of '{name}' are not in the local cache, and nothing is downloaded "
        f"unasked; {REMEDY}, or give a checkpoint file with --pretrained FILE"
    )


def repository_at_hand(repository: str, files: Iterable[str]) -> bool:
    """Whether the cache of the hub holds one of some files of a repository."""
    return any(isinstance(try_to_load_from_cache(repository, file), str) for file in files)


def url_at_hand(url: str) -> bool:
    """Whether torch's cache holds what it would fetch from an address."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file()


def file_of_hub(repository: str, file: str, *, allow_download: bool) -> Path | None:
    """A file of a repository of the hub: out of the cache, or fetched where that is allowed.

    Returns:
        Its path, or None where it is not at hand.
    """
    known = try_to_load_from_cache(repository, file)
    if isinstance(known, str):
        return Path(known)
    if not allow_download:
        return None
    try:
        return Path(hf_hub_download(repository, file))
    except (HfHubHTTPError, OSError, ValueError):
        return None


def _is_at_hand(tag: dict[str, Any]) -> bool:
    if "file" in tag:
        return Path(tag["file"]).is_file()
    hub, address = tag.get("hf_hub", ""), tag.get("url", "")
    if hub:
        repository, file = os.path.split(hub)
        wanted = [file] if file else [names.HF_WEIGHTS_NAME]
        wanted += [names.HF_SAFE_WEIGHTS_NAME, f"{Path(wanted[0]).stem}.safetensors"]
        return repository_at_hand(repository, wanted)
    return bool(address) and (Path(_URL_CACHE).expanduser() / Path(address).name).is_file()
