from .amp import BFloat16OptimWrapper
from .hooks import FreezePrototypesHook, ThroughputHook
from .pretrained import CompletePretrainedInit

__all__ = ["BFloat16OptimWrapper", "CompletePretrainedInit", "FreezePrototypesHook", "ThroughputHook"]
