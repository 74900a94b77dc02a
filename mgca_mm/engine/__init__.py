from .amp import BFloat16OptimWrapper
from .hooks import CachedFeaturesHook, DeferredRuntimeInfoHook, FreezePrototypesHook, ThroughputHook
from .pretrained import CompletePretrainedInit

__all__ = [
    "BFloat16OptimWrapper",
    "CachedFeaturesHook",
    "CompletePretrainedInit",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "ThroughputHook",
]
