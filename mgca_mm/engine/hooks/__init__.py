from .freeze_prototypes import FreezePrototypesHook
from .throughput import ThroughputHook

__all__ = ["FreezePrototypesHook", "ThroughputHook"]
