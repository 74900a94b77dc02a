from .cached_features import CachedFeaturesHook
from .freeze_prototypes import FreezePrototypesHook
from .runtime_info import DeferredRuntimeInfoHook
from .throughput import ThroughputHook

__all__ = ["CachedFeaturesHook", "DeferredRuntimeInfoHook", "FreezePrototypesHook", "ThroughputHook"]
