"""Modules of open_clip as models under audit, without files and tokenizers."""

from torch import nn
from torchvision.transforms import Compose

from audit.interventions.model_parts import ModelParts, parts_of_anatomy
from audit.models.anatomy import anatomy_of
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.open_clip_source import OpenClipInterface


def audited(module: nn.Module) -> ModelUnderAudit:
    """The model around a module; it knows no words."""
    weight = next(module.parameters())
    interface = OpenClipInterface(Compose([]), lambda texts: None)
    return ModelUnderAudit("test", None, module, interface, weight.device, weight.dtype)


def parts(module: nn.Module) -> ModelParts:
    """Where the module's weights lie."""
    return parts_of_anatomy(anatomy_of(module))
