from .cached_features import CachedFeaturesHook
from .freeze_prototypes import FreezePrototypesHook
from .plain_checkpoint import PlainCheckpointHook
from .runtime_info import DeferredRuntimeInfoHook
from .throughput import ThroughputHook

__all__ = [
    "CachedFeaturesHook",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "PlainCheckpointHook",
    "ThroughputHook",
]
