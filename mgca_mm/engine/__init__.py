from .amp import BFloat16OptimWrapper
from .file_backend import AtomicLocalBackend
from .hooks import (
    AttentionMapHook,
    BrokenSamplesHook,
    CachedFeaturesHook,
    DeferredRuntimeInfoHook,
    FreezePrototypesHook,
    NonFiniteGuardHook,
    PlainCheckpointHook,
    ResumableEarlyStoppingHook,
    SafeCheckpointHook,
    SharedBuffersHook,
    StepSeedHook,
    TerminationHook,
    ThroughputHook,
    WaitingGradientsHook,
)
from .installation import install
from .local_vis_backend import EnduringLocalVisBackend
from .log_processor import PlainLogProcessor
from .loops import ResumableIterTrainLoop, ResumableTrainLoop
from .param_groups import MergedGroupsOptimWrapperConstructor
from .pretrained import CompletePretrainedInit
from .runner import PrivateRunner

__all__ = [
    "AtomicLocalBackend",
    "AttentionMapHook",
    "BFloat16OptimWrapper",
    "BrokenSamplesHook",
    "CachedFeaturesHook",
    "CompletePretrainedInit",
    "DeferredRuntimeInfoHook",
    "EnduringLocalVisBackend",
    "FreezePrototypesHook",
    "MergedGroupsOptimWrapperConstructor",
    "NonFiniteGuardHook",
    "PlainCheckpointHook",
    "PlainLogProcessor",
    "PrivateRunner",
    "ResumableEarlyStoppingHook",
    "ResumableIterTrainLoop",
    "ResumableTrainLoop",
    "SafeCheckpointHook",
    "SharedBuffersHook",
    "StepSeedHook",
    "TerminationHook",
    "ThroughputHook",
    "WaitingGradientsHook",
    "install",
]
