from .attention_maps import AttentionMapHook
from .broken_samples import BrokenSamplesHook
from .cached_features import CachedFeaturesHook
from .checkpoint import SafeCheckpointHook
from .early_stopping import ResumableEarlyStoppingHook
from .freeze_prototypes import FreezePrototypesHook
from .non_finite import NonFiniteGuardHook
from .plain_checkpoint import PlainCheckpointHook
from .progress import ProgressHook
from .runtime_info import DeferredRuntimeInfoHook
from .shared_buffers import SharedBuffersHook
from .step_seed import StepSeedHook
from .termination import TerminationHook
from .throughput import ThroughputHook
from .verify_pretrained import VerifyPretrainedHook
from .waiting_gradients import WaitingGradientsHook

__all__ = [
    "AttentionMapHook",
    "BrokenSamplesHook",
    "CachedFeaturesHook",
    "DeferredRuntimeInfoHook",
    "FreezePrototypesHook",
    "NonFiniteGuardHook",
    "PlainCheckpointHook",
    "ProgressHook",
    "ResumableEarlyStoppingHook",
    "SafeCheckpointHook",
    "SharedBuffersHook",
    "StepSeedHook",
    "TerminationHook",
    "ThroughputHook",
    "VerifyPretrainedHook",
    "WaitingGradientsHook",
]
