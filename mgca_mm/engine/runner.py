"""MMEngine's runner, which writes down no paths."""

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mgca_mm.registry import RUNNERS

from .privacy import PathFilter, without_paths


@RUNNERS.register_module()
class PrivateRunner(Runner):
    """``Runner`` whose log, config dump and event files name no folder.

    MMEngine writes the whole config into all of them and into each checkpoint. Here it is the one of
    :func:`mgca_mm.engine.privacy.without_paths`; what is built is built from the paths as they are.

    Args:
        *args: As in :class:`mmengine.runner.Runner`.
        cfg: The config that is written down.
        **kwargs: As in :class:`mmengine.runner.Runner`.
    """

    def __init__(self, *args, cfg: Config | dict | None = None, **kwargs):
        shown, paths = without_paths(cfg if isinstance(cfg, Config) else Config(cfg or {}))
        self._path_filter = PathFilter(paths)
        super().__init__(*args, cfg=shown, **kwargs)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """The logger, with its messages freed of paths."""
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(self._path_filter)
        return logger
