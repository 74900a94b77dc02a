from . import hooks
from .amp import BFloat16OptimWrapper
from .file_handlers import AtomicLocalBackend
from .hooks import *  # noqa: F403
from .installation import install
from .logs import EnduringLocalVisBackend, PlainLogProcessor
from .loops import ResumableIterTrainLoop, ResumableTrainLoop
from .param_groups import MergedGroupsOptimWrapperConstructor
from .pretrained import CompletePretrainedInit
from .runner import PrivateRunner

__all__ = [
    "AtomicLocalBackend",
    "BFloat16OptimWrapper",
    "CompletePretrainedInit",
    "EnduringLocalVisBackend",
    "MergedGroupsOptimWrapperConstructor",
    "PlainLogProcessor",
    "PrivateRunner",
    "ResumableIterTrainLoop",
    "ResumableTrainLoop",
    "install",
    *hooks.__all__,
]
