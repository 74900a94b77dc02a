from mgca_mm.checkpoints import schemes

from .amp import BFloat16OptimWrapper
from .hooks import (
    CachedFeaturesHook,
    DeferredRuntimeInfoHook,
    FreezePrototypesHook,
    PlainCheckpointHook,
    ThroughputHook,
)
from .pretrained import CompletePretrainedInit

schemes.register()

__all__ = [
    "BFloat16OptimWrapper",
    "CachedFeaturesHook",
    "CompletePretrainedInit",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "PlainCheckpointHook",
    "ThroughputHook",
]
