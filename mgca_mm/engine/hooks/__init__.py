from .attention_maps import AttentionMapHook
from .broken_samples import BrokenSamplesHook
from .cached_features import CachedFeaturesHook
from .checkpoint import SafeCheckpointHook
from .freeze_prototypes import FreezePrototypesHook
from .non_finite import NonFiniteGuardHook
from .plain_checkpoint import PlainCheckpointHook
from .runtime_info import DeferredRuntimeInfoHook
from .step_seed import StepSeedHook
from .termination import TerminationHook
from .throughput import ThroughputHook

__all__ = [
    "AttentionMapHook",
    "BrokenSamplesHook",
    "CachedFeaturesHook",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "NonFiniteGuardHook",
    "PlainCheckpointHook",
    "SafeCheckpointHook",
    "StepSeedHook",
    "TerminationHook",
    "ThroughputHook",
]
