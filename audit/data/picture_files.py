"""Picture files of a manifest: where they may lie, how large they may be, and how they are opened.

Pictures come from anywhere. So a name leads to a plain file under the manifest's folder or nowhere,
only formats that are decoded in this process are read, and the number of pixels is bounded before
one of them is decoded. All that is wrong with the files of a manifest is said at once.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from audit.data.errors import DataError

Seen = TypeVar("Seen")
MOST_PIXELS = 64_000_000
_LONGEST = 200  # times the short side: models scale the short one to theirs
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "TIFF", "PPM")
_SHOWN = 10


class PictureError(DataError):
    """A file is no picture that can be read; the message says why."""


def open_picture(path: Path) -> Image.Image:
    """The picture in a file, as RGB.

    Raises:
        PictureError: no plain file, no picture, damaged, or too large.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise PictureError(f"no such file ({getattr(error, 'strerror', error)})") from error
    if not stat.S_ISREG(mode):
        raise PictureError(f"expected a plain file, found {_kind(mode)}")
    return _decoded(path)


def read_pictures(
    folder: Path,
    names: Iterable[str],
    seen: Callable[[str, Image.Image], Seen],
    *,
    allow_outside: bool,
) -> list[Seen]:
    """What is seen of each picture, in the order of their names.

    Args:
        folder: the names are relative to it.
        names: of files.
        seen: called with name and picture, one at a time.
        allow_outside: also read what lies elsewhere, be it by ``..``, absolutely, or by a link.

    Raises:
        DataError: names all files that cannot be read, or the first of them and how many there are.
    """
    found, wrong = [], []
    root = folder.resolve()
    for name in names:
        try:
            path = _inside(root, name, allow_outside=allow_outside)
            found.append(seen(name, open_picture(path)))
        except PictureError as error:
            wrong.append(f"'{name}': {error}")
    if wrong:
        rest = len(wrong) - _SHOWN
        more = f"\n… and {rest:,} more" if rest > 0 else ""
        listed = "\n".join(wrong[:_SHOWN])
        raise DataError(
            f"{folder}: {len(wrong):,} of {len(wrong) + len(found):,} picture files cannot be "
            f"used:\n{listed}{more}"
        )
    return found


def _inside(root: Path, name: str, *, allow_outside: bool) -> Path:
    if "\0" in name:
        raise PictureError("expected the name of a file, found a NUL character in it")
    try:
        path = (root / name).resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise PictureError(f"expected a file, found a name that leads nowhere ({error})") from error
    if not (allow_outside or path.is_relative_to(root)):
        raise PictureError(
            "expected a file under the manifest's folder, found one outside of it; move it, or "
            "give --allow-outside if you trust the manifest"
        )
    return path


def _decoded(path: Path) -> Image.Image:
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused here
            with Image.open(file, formats=_known_formats()) as picture:
                _expect_moderate(*picture.size)
                return picture.convert("RGB")
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
