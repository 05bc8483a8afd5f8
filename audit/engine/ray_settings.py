"""What a Ray cluster needs of the settings, looked at before anything heavy is imported."""

from __future__ import annotations

import os
from importlib.util import find_spec

from audit.config.settings import Settings, SettingsError
from audit.engine.live_objects import LiveObjects


def ray_address(settings: Settings, live: LiveObjects) -> str:
    """The address of the cluster that an audit runs on.

    Args:
        settings: of the audit, with ``engine`` ray.
        live: objects in the place of what the settings name, which no other machine has.

    Raises:
        SettingsError: there are objects, Ray is not installed, or no address is given.
    """
    if live.any:
        raise SettingsError(
            "engine: expected explainer, model and data by name for ray, found objects of this "
            "process, which other machines do not have; give names, or leave the engine out"
        )
    if find_spec("ray") is None:
        raise SettingsError(
            "engine: expected Ray to be installed for ray, found it is not; pip install "
            "'explainer-audit[ray]'"
        )
    address = settings.ray_address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        raise SettingsError(
            "ray_address: expected the address of a Ray cluster, found none; give --ray-address "
            "HOST:PORT, set RAY_ADDRESS, or start one on this machine with --ray-address local"
        )
    return address
