"""The explainer's own source: its file, and the modules beside it that it has imported."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def sources_sha256(file: str | None) -> str | None:
    """Hash of an explainer's file, its folder's modules, and loaded modules further below.

    Evidence is used again only while this stays the same, so that an edited helper of the
    explainer is not overlooked. To be called after the explainer has run once, since a module that
    it imports when called is not loaded before. None where the explainer has no file.
    """
    if file is None:
        return None
    folder = Path(file).resolve().parent
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    files = [Path(name) for name in loaded if isinstance(name, str)]
    folders = {path.parent for path in files}  # a tenth as many: resolving asks the disk
    real = {one: one.resolve() for one in folders}
    below = {real[path.parent] / path.name for path in files}
    chosen = {path for path in below if _belongs(path, folder)} | set(folder.glob("*.py"))
    digest = hashlib.sha256()
    for path in sorted(chosen):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _belongs(path: Path, folder: Path) -> bool:
    """A module of the explainer's own project, not of this package nor installed."""
    if not path.is_relative_to(folder) or path.is_relative_to(_PACKAGE):
        return False
    return not {"site-packages", "dist-packages"} & set(path.relative_to(folder).parts)
