from mgca_mm.checkpoints import schemes

from . import file_handlers
from .amp import BFloat16OptimWrapper
from .hooks import (
    CachedFeaturesHook,
    DeferredRuntimeInfoHook,
    FreezePrototypesHook,
    PlainCheckpointHook,
    ThroughputHook,
)
from .pretrained import CompletePretrainedInit
from .runner import PrivateRunner

schemes.register()
file_handlers.register()

__all__ = [
    "BFloat16OptimWrapper",
    "CachedFeaturesHook",
    "CompletePretrainedInit",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "PlainCheckpointHook",
    "PrivateRunner",
    "ThroughputHook",
]
