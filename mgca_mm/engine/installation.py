"""Everything that a run of ours changes in MMEngine. It is done by a call, never by an import."""

import functools

from mmengine.fileio import LocalBackend, register_backend, register_handler
from mmengine.fileio.io import backend_instances
from mmengine.registry import DATA_SAMPLERS, HOOKS, LOG_PROCESSORS, VISBACKENDS, WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader

from mgca_mm.checkpoints.schemes import LOADERS
from mgca_mm.datasets.samplers import ReproducibleInfiniteSampler

from .file_handlers import HANDLERS, AtomicLocalBackend
from .hooks import ResumableEarlyStoppingHook, SafeCheckpointHook
from .logs import EnduringLocalVisBackend, PlainLogProcessor
from .pretrained import CompletePretrainedInit

_REPLACEMENTS = (
    (DATA_SAMPLERS, "InfiniteSampler", ReproducibleInfiniteSampler),
    (HOOKS, "CheckpointHook", SafeCheckpointHook),
    (HOOKS, "EarlyStoppingHook", ResumableEarlyStoppingHook),
    (LOG_PROCESSORS, "LogProcessor", PlainLogProcessor),
    (VISBACKENDS, "LocalVisBackend", EnduringLocalVisBackend),
    (WEIGHT_INITIALIZERS, "Pretrained", CompletePretrainedInit),
)


@functools.cache  # once: what a config's custom_imports put in these places afterwards stays there
def install() -> None:
    """Let MMEngine read and write safely, for the rest of this process and all libraries in it.

    - Checkpoints, yaml and pickle files are read without running what they hold, see
      :mod:`mgca_mm.checkpoints.schemes` and :mod:`mgca_mm.engine.file_handlers`.
    - Local files are written completely or not at all, see :class:`AtomicLocalBackend`.
    - ``type='Pretrained'`` fills a module or fails; ``'CheckpointHook'``, ``'EarlyStoppingHook'``,
      ``'LocalVisBackend'``, ``'LogProcessor'`` and ``'InfiniteSampler'`` are ours, each of which says what it fixes.

    Our command lines call it, and :class:`PrivateRunner` does when it is made. A program of your own that trains with
    another runner calls it before it reads a config. What loaders' workers do needs none of it. Calling it again
    changes nothing.
    """
    for registry, name, replacement in _REPLACEMENTS:
        registry.register_module(name=name, module=replacement, force=True)
    for prefix, loader in LOADERS.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)
    for ending, handler in HANDLERS.items():
        register_handler(ending)(handler)
    register_backend("local", AtomicLocalBackend, force=True, prefixes="")
    for key in [key for key, backend in backend_instances.items() if type(backend) is LocalBackend]:
        del backend_instances[key]  # MMEngine keeps those that it has used
