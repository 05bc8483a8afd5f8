"""The bundled model: a small CLIP for the procedurally drawn scenes of `audit.data.scenes`.

It was trained by `audit.models.bundled.train` on the train split of the scenes, with prompts of
the same 36 classes that it is asked about later. So the held-out scenes of the test split are
new to it, but every class was seen in training: its accuracy under the zero-shot protocol
measures recognition of known classes in new pictures, not transfer to unseen ones.

It loads like any open_clip model: `open_clip.create_model_and_transforms(f"local-dir:{DIRECTORY}")`
and `open_clip.get_tokenizer(f"local-dir:{DIRECTORY}")`. Importing this package imports no torch.

Beside it lie image towers that the same training passed through: with the text tower of the
finished model they are worse models of the same kind, real rungs for the ladder of P201.
"""

from pathlib import Path
from typing import Final

__all__ = ["CONFIG_PATH", "DIRECTORY", "TOWER_PATHS", "WEIGHTS_PATH"]

DIRECTORY: Final = Path(__file__).resolve().parent
CONFIG_PATH: Final = DIRECTORY / "open_clip_config.json"
WEIGHTS_PATH: Final = DIRECTORY / "open_clip_model.safetensors"
TOWER_PATHS: Final = tuple(sorted(DIRECTORY.glob("image_tower_*.safetensors")))
