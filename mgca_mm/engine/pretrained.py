"""``init_cfg=dict(type='Pretrained', …)`` that never fills a backbone by half."""

from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from mgca_mm.errors import UserError


@WEIGHT_INITIALIZERS.register_module(name="Pretrained", force=True)
class CompletePretrainedInit(PretrainedInit):
    """Loads a checkpoint into a module and fails unless it fills the whole module.

    MMEngine's own initialiser, which this one replaces under its name, only warns of missing or misshapen parameters,
    so that a wrong prefix trains from random weights without a word. Names that the module does not have (a
    classification head) are ignored, as there.

    Args:
        checkpoint: File, URL or ``torchvision://`` name.
        prefix: Load the names that begin with it, without it.
        map_location: Where the tensors are read to.

    Raises:
        UserError: If the checkpoint cannot be read, a parameter is missing or has another shape.
    """

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``."""
        prefix = self.prefix or ""
        print_log(f"load {prefix or 'model'} from {self.checkpoint}", logger="current")
        state_dict = {name[len(prefix) :]: tensor for name, tensor in self._read().items() if name.startswith(prefix)}
        if not state_dict:
            raise UserError(
                f"Checkpoint '{self.checkpoint}' holds no name that begins with '{prefix}'.\n"
                "Set init_cfg.prefix to the part of the names before those of the backbone."
            )
        try:
            missing = module.load_state_dict(state_dict, strict=False).missing_keys
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise UserError(
                f"Checkpoint '{self.checkpoint}' is of another architecture than {type(module).__name__}: {first}"
            ) from error
        # Checkpoints older than PyTorch 0.4.1 lack this counter, which has no influence on the output.
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing:
            raise UserError(
                f"Checkpoint '{self.checkpoint}' fills {type(module).__name__} only in part; {len(missing)} missing: "
                f"{', '.join(missing[:3])}…\nCheck init_cfg.prefix ('{prefix}') and the architecture."
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=self._get_init_info())

    def _read(self) -> dict:
        try:
            checkpoint = _load_checkpoint(self.checkpoint, map_location=self.map_location)
        except OSError as error:
            raise UserError(
                f"Checkpoint '{self.checkpoint}' cannot be read: {error}\n"
                "Download it on a machine with access and point to the file: --cfg-options image_init=FILE\n"
                "or train from random weights: --cfg-options model.image_encoder.backbone.init_cfg=None"
            ) from error
        return checkpoint.get("state_dict", checkpoint)
