from .cached_features import CachedFeaturesHook
from .freeze_prototypes import FreezePrototypesHook
from .throughput import ThroughputHook

__all__ = ["CachedFeaturesHook", "FreezePrototypesHook", "ThroughputHook"]
