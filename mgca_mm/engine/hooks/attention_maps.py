"""A look at what the words look at, while the model trains."""

import numpy as np
import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class AttentionMapHook(Hook):
    """Draws the attention of some validation pairs into the visualizer after each validation: TensorBoard, W&B, files.

    The pictures hold radiographs and words of their reports: with data of patients, keep them where the data may be. No
    config has this hook; add ``dict(type='mgca_mm.AttentionMapHook')`` to ``custom_hooks``.

    Args:
        num_samples: The first so many pairs; of the first data set, where several are validated on.

    Raises:
        UserError: There is nothing to draw: the model learns no attention between words and regions, or there is no
            validation on pairs with reports. Before the training, not after its first epoch.
    """

    def __init__(self, num_samples: int = 2):
        self.num_samples = num_samples

    def before_train(self, runner: Runner) -> None:
        """Check that there will be something to draw."""
        model = unwrapped(runner.model)
        if not (getattr(model, "uses_tokens", False) and getattr(model, "encodes_reports", False)):
            raise UserError(
                "AttentionMapHook: this method learns no attention between words and regions.\n"
                "Take the hook out of custom_hooks, or train MGCA (with cta) or GLoRIA."
            )
        if runner.val_loop is None or not any(hasattr(step, "words") for step in _pairs(runner).pipeline.transforms):
            raise UserError(
                "AttentionMapHook draws pairs of the validation: it needs a val_dataloader with TokenizeReport in its "
                "pipeline."
            )

    @torch.no_grad()
    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draw, on the first rank."""
        if runner.rank > 0:
            return
        # Matplotlib takes a second to import: only where something is drawn.
        from mgca_mm.radiographs.frame import Frame
        from mgca_mm.visualization.attention import Grounding
        from mgca_mm.visualization.attention_figure import attention_figure
        from mgca_mm.visualization.style import to_array

        model, dataset = unwrapped(runner.model), _pairs(runner)
        tokenize = next(step for step in dataset.pipeline.transforms if hasattr(step, "words"))
        for number in range(min(self.num_samples, len(dataset))):
            inputs = pseudo_collate([dataset[number]])["inputs"]
            batch = model.data_preprocessor({"inputs": {key: torch.stack(value) for key, value in inputs.items()}})
            features = model.embed_images(batch["inputs"]), model.embed_reports(batch["inputs"])
            words = tokenize.words(dataset.get_data_info(number))
            grounding = Grounding.of(model.attend(*features), features[1], words)
            shown = batch["inputs"]["image"][0, 0].float().cpu().numpy()
            shown = np.interp(shown, (shown.min(), shown.max()), (0, 255)).astype(np.uint8)
            frame = Frame(*[shown.shape[0]] * 2)  # what the model sees is all that is drawn
            drawn = to_array(attention_figure(shown, grounding, frame))
            runner.visualizer.add_image(f"attention_{number}", drawn, step=runner.epoch)


def _pairs(runner: Runner) -> BaseDataset:
    """The data set of the validation, or the first of several."""
    dataset = runner.val_dataloader.dataset
    return getattr(dataset, "datasets", [dataset])[0]
