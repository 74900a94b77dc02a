"""A training step of OpenCLIP (github.com/mlfoundations/open_clip), the common yardstick of image-text pretraining."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mgca_mm.errors import UserError


class OpenClipStep:
    """CLIP ViT-B-16 with its text tower and loss, random weights, on random images and captions.

    Args:
        batch_size: B.
        dtype: Of the autocast; ``torch.float32``: none.
        device: ``'cpu'`` or ``'cuda'``.
        compile: By :func:`torch.compile`.
        name: Model of OpenCLIP.

    Raises:
        UserError: If open-clip-torch is not installed.
    """

    def __init__(self, batch_size: int, dtype: torch.dtype, device: str, compile: bool = False, name: str = "ViT-B-16"):
        try:
            import open_clip
        except ImportError as error:
            raise UserError(
                "--against open_clip needs the package open-clip-torch: pip install open-clip-torch"
            ) from error
        model = open_clip.create_model(name, device=device).train()
        self.loss = open_clip.ClipLoss()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        self.dtype = dtype
        size, vocabulary = model.visual.image_size, model.vocab_size
        height, width = size if isinstance(size, tuple) else (size, size)
        self.images = torch.randn(batch_size, 3, height, width, device=device)
        self.captions = torch.randint(1, vocabulary, (batch_size, model.context_length), device=device)
        self.model: nn.Module | Callable = torch.compile(model) if compile else model

    def __call__(self) -> Tensor:
        """Take one training step."""
        loss = self._forward()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def count_flops(self) -> int:
        """Floating-point operations of a step, as :func:`~mgca_mm.benchmarks.pretraining.count_flops` counts them."""
        # Operators of compiled code are not seen.
        with torch.compiler.set_stance("force_eager"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            self._forward()
        return 3 * counter.get_total_flops()

    def _forward(self) -> Tensor:
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = self.model(self.images, self.captions)
        return self.loss(*(feature.float() for feature in features))
