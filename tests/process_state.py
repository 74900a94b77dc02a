"""What an import can change behind a program's back, as one dictionary that can be compared."""

import csv
import locale
import logging
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import warnings

_HOOKS = re.compile("_global_.+_hooks")


def process_state():
    """Name of a setting → its value now; of objects their identity."""
    return {**_of_mmengine(), **_of_libraries(), **_of_python()}  # Python's last: the others import what they look at


def differences(before, after):
    """Names of the settings that two states do not share."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _of_python():
    loggers = {name: logger for name, logger in logging.root.manager.loggerDict.items() if hasattr(logger, "handlers")}
    masked = os.umask(0o077)
    os.umask(masked)
    state = {
        "sys.path": list(sys.path),
        "sys.meta_path": list(map(id, sys.meta_path)),
        "sys.path_hooks": list(sys.path_hooks),
        "hooks": [sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook],
        "recursion limit": sys.getrecursionlimit(),
        "os.umask": masked,
        "os.getcwd": os.getcwd(),
        "locale": locale.setlocale(locale.LC_ALL),
        "csv": csv.field_size_limit(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "warnings": [list(warnings.filters), warnings.showwarning],
        "multiprocessing": multiprocessing.get_start_method(allow_none=True),
        "random": random.getstate(),
        "logging": [logging.root.manager.disable, logging.raiseExceptions, logging.getLoggerClass()],
        **{f"os.environ {name}": value for name, value in os.environ.items()},
    }
    for name, logger in {"root": logging.root, **loggers}.items():
        settings = [logger.level, logger.disabled, logger.propagate, list(logger.handlers), list(logger.filters)]
        if settings != [logging.NOTSET, False, True, [], []]:  # as each is made
            state[f"logger {name}"] = settings
    return state


def _of_libraries():
    import cv2
    import matplotlib
    import numpy as np
    import PIL.Image
    import PIL.ImageFile
    import torch
    import torch.nn.modules.module as hooked

    kind, keys, *rest = np.random.get_state()
    return {
        "cv2": [cv2.getNumThreads(), cv2.ocl.useOpenCL()],
        "PIL": [PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES],
        # A look at rcParams["backend"] would choose one.
        **{f"matplotlib {name}": dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams},
        "numpy": [np.geterr(), np.get_printoptions()],
        "numpy.random": [kind, keys.tolist(), *rest],
        "torch random": torch.get_rng_state().tolist(),
        "torch defaults": [torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()],
        "torch threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "torch deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch precision": [torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32],
        "torch cudnn": [getattr(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")],
        "torch sharing": torch.multiprocessing.get_sharing_strategy(),
        "torch.load": torch.serialization.get_safe_globals(),
        "torch module hooks": {name: dict(hooks) for name, hooks in vars(hooked).items() if _HOOKS.fullmatch(name)},
    }


def _of_mmengine():
    import mmengine.registry
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.fileio import FileClient, backends
    from mmengine.fileio.handlers import file_handlers
    from mmengine.fileio.io import backend_instances
    from mmengine.registry import DefaultScope, Registry
    from mmengine.runner import CheckpointLoader

    state = {
        "config packages": dict(MODULE2PACKAGE),
        "file backends": dict(backends.registry_utils.backends),
        "file prefixes": dict(backends.registry_utils.prefix_to_backends),
        "file backends in use": dict(backend_instances),
        "file clients": [dict(FileClient._backends), dict(FileClient._prefix_to_backends)],
        "file handlers": dict(file_handlers),
        "checkpoint loaders": dict(CheckpointLoader._schemes),
        "default scope": DefaultScope.get_current_instance() and DefaultScope.get_current_instance().scope_name,
    }
    for name, root in vars(mmengine.registry).items():
        if isinstance(root, Registry):
            for registry in [root, *(child for scope, child in root.children.items() if scope != "mgca_mm")]:
                state[f"{registry.scope}.{name}"] = dict(registry.module_dict)
    return state
