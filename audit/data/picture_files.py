"""Picture files of others: where they may lie, how large they may be, and how they are opened.

Pictures come from anywhere. So a name leads to a plain file under the folder of the data or
nowhere, only formats that are decoded in this process are read, and the number of pixels is bounded
before one of them is decoded.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from audit.data.upright import OpenedPicture, PictureError, upright

Name = TypeVar("Name")
Seen = TypeVar("Seen")
MOST_PIXELS = 64_000_000
SUFFIXES = frozenset(
    ".png .jpg .jpeg .webp .avif .jp2 .bmp .gif .tif .tiff .ppm .pgm".split()  # noqa: SIM905
)
_LONGEST = 200  # times the short side: models scale the short one to theirs
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "TIFF", "PPM")
_AT_ONCE = 64  # files that are decoded before what they hold is used


def open_picture(path: Path) -> OpenedPicture:
    """The picture in a file, as it is seen.

    Raises:
        PictureError: no plain file, no picture, damaged, or too large.
    """
    return _read(path, upright)


def open_stored(path: Path) -> Image.Image:
    """The numbers in a picture file as they are stored, such as those of a mask.

    Raises:
        PictureError: as for `open_picture`.
    """
    return _read(path, lambda file: file.copy())


def picture_in_bytes(data: bytes) -> OpenedPicture:
    """The picture in the content of a file, as it is seen; as `open_picture`."""
    return _decoded(io.BytesIO(data), upright)


def stored_in_bytes(data: bytes) -> Image.Image:
    """The numbers in the content of a picture file; as `open_stored`."""
    return _decoded(io.BytesIO(data), lambda file: file.copy())


def opener(folder: Path, *, allow_outside: bool) -> Callable[[str], OpenedPicture]:
    """Opens the pictures of a folder by their names; as `inside` and `open_picture`."""
    return lambda name: open_picture(inside(folder, name, allow_outside=allow_outside))


def inside(folder: Path, name: str, *, allow_outside: bool = False) -> Path:
    """The file that a name means, relative to a folder.

    Args:
        folder: of the data.
        name: of the file.
        allow_outside: also what lies elsewhere, be it by ``..``, absolutely, or by a link.

    Raises:
        PictureError: it leads nowhere, or outside.
    """
    if "\0" in name:
        raise PictureError("expected the name of a file, found a NUL character in it")
    root = folder.resolve()
    try:
        path = (root / name).resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise PictureError(f"expected a file, found a name that leads nowhere ({error})") from error
    if not (allow_outside or path.is_relative_to(root)):
        raise PictureError(
            "expected a file under the folder of the data, found one outside of it; move it, or "
            "give --allow-outside if you trust the data"
        )
    return path


def in_parallel(names: Sequence[Name], read: Callable[[Name], Seen]) -> Iterator[Seen]:
    """What is read of each file, in the order of their names; a few are read at once.

    What libraries warn of while they decode is not shown: it is refused here, or harmless.
    """
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(names), _AT_ONCE):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = list(pool.map(read, names[start : start + _AT_ONCE]))
            yield from found


def _read(path: Path, seen: Callable[[Image.Image], Seen]) -> Seen:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise PictureError(f"no such file ({getattr(error, 'strerror', error)})") from error
    if not stat.S_ISREG(mode):
        raise PictureError(f"expected a plain file, found {_kind(mode)}")
    with path.open("rb") as file:
        return _decoded(file, seen)


def _decoded(file: io.BufferedReader | io.BytesIO, seen: Callable[[Image.Image], Seen]) -> Seen:
    try:
        with Image.open(file, formats=_known_formats()) as picture:
            _expect_moderate(*picture.size)
            return seen(picture)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"not a readable picture (none of {', '.join(_known_formats())})"
        ) from error
    except Exception as error:  # a decoder may raise anything on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"not a readable picture ({reason})") from error


def _expect_moderate(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"{width}×{height} pixels, expected at most {MOST_PIXELS:,}; shrink the picture"
        )
    if max(width, height) > _LONGEST * min(width, height):
        raise PictureError(
            f"{width}×{height} pixels, expected a side at most {_LONGEST} times the other; crop "
            "the picture"
        )


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
