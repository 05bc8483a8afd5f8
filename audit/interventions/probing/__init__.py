"""Probing interventions: what each patch of a picture does to the score of the unmodified model."""

from audit.interventions.probing.knockout import knock_out
from audit.interventions.probing.neutral_pictures import neutral_pictures
from audit.interventions.probing.patch_removal import null_removal, occlude
from audit.interventions.probing.patching import null_control, patch_activations
from audit.interventions.probing.windows import NullControl, Probed, square_windows

__all__ = [
    "NullControl",
    "Probed",
    "knock_out",
    "neutral_pictures",
    "null_control",
    "null_removal",
    "occlude",
    "patch_activations",
    "square_windows",
]
