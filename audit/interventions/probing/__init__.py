"""Probing interventions: what each patch of a picture does to the score of the unmodified model."""

from audit.interventions.probing.knockout import knock_out
from audit.interventions.probing.neutral_pictures import neutral_pictures
from audit.interventions.probing.patch_removal import occlude
from audit.interventions.probing.patching import NullControl, null_control, patch_activations
from audit.interventions.probing.windows import Probed, square_windows

__all__ = [
    "NullControl",
    "Probed",
    "knock_out",
    "neutral_pictures",
    "null_control",
    "occlude",
    "patch_activations",
    "square_windows",
]
