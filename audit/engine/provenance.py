"""Under which conditions an audit ran: versions, commit, hashes."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from audit.engine.check_durations import spent_on_checks
from audit.evidence.kinds import Costs
from audit.explainers.contract import Explainer
from audit.explainers.identities import spec_of
from audit.models.loading import PACKAGES
from audit.result.schema import Conditions, ExplainerInfo, Timing
from audit.trace.frames import shown_path
from audit.version import __version__

_PACKAGES = ("torch", *PACKAGES, "numpy", "scipy", "scikit-learn", "pandas")


def conditions(
    *,
    seed: int,
    device: str,
    dtype: str,
    settings: dict[str, str],
    command: str,
    source: str | None,
    checkpoints: dict[str, str],
    evidence: str,
    supervised: bool,
) -> Conditions:
    """The run conditions, with the commit of the explainer's repository if it has one."""
    folder = Path(source).parent if source else Path.cwd()
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain")
    return Conditions(
        audit_version=__version__,
        versions={"python": platform.python_version(), **_versions()},
        git_commit=commit,
        git_dirty=None if commit is None or status is None else bool(status),
        seed=seed,
        device=device,
        dtype=dtype,
        settings=settings,
        command=command,
        checkpoints=checkpoints,
        evidence=evidence,
        supervised=supervised,
        folder=_git(Path.cwd(), "rev-parse", "--show-prefix") or "",
    )


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def timing(
    started: str,
    gathering: Mapping[str, float],
    judging: Mapping[str, float],
    reused: Iterable[str] = (),
) -> Timing:
    """When the audit began, and how long each kind of evidence and each check took."""
    return Timing(
        started=started,
        gathering={name: round(seconds, 2) for name, seconds in gathering.items()},
        judging={name: round(seconds, 3) for name, seconds in judging.items()},
        reused=list(reused),
        checks={n: round(s, 3) for n, s in spent_on_checks(gathering, judging).items()},
    )


def explainer_info(explainer: Explainer, costs: Costs | None = None) -> ExplainerInfo:
    """What the report says of the explainer, with its costs where they were measured."""
    operations = costs.operations if costs else {}
    file = explainer.source_file
    return ExplainerInfo(
        name=explainer.name,
        options=dict(explainer.options),
        summary=explainer.summary,
        source_file=shown_path(file) if file else None,
        source_line=explainer.source_line,
        source_sha256=file_sha256(file),
        passes=operations.get(spec_of(explainer.name, dict(explainer.options))),
    )


def file_sha256(file: str | None) -> str | None:
    """Hash of a file, None where it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except OSError:
        return None


def _versions() -> dict[str, str]:
    return {package: found for package in _PACKAGES if (found := _version(package))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
