"""A checkpoint to give away: weights alone, in a format that holds nothing else, with a model card."""

import os
from collections import Counter
from pathlib import Path

from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.files import replacing_output, sha256_of
from mgca_mm.version import __version__

from .conversion.renaming import own_memory, write_safetensors

_CARD = """# {name}

Weights written by mgca_mm {version} for research only: not a medical device, not to be used to diagnose or treat.

| | |
|---|---|
| file | `{file}`, {size:.1f} MB, safetensors |
| sha256 | `{sha256}` |
| tensors | {tensors}, {parameters:,} numbers |

| part | tensors |
|---|---|
{parts}

Optimizer, training state, config and paths were left out.

## Use

```python
init_cfg=dict(type='Pretrained', checkpoint='{file}'{prefix})
```

## To be filled in by whoever publishes it

- Data it was trained on, its license or data use agreement, and whether that allows weights to be shared:
- Config, number of epochs, seed:
- Scores, on which data, and what it must not be used for:
"""


def publish(state_dict: dict[str, Tensor], target: str | os.PathLike) -> Path:
    """Write weights as safetensors and a model card beside them.

    Args:
        state_dict: Weights; what is no tensor is left out.
        target: File to write, ``.safetensors``.

    Returns:
        The model card, ``<target without its ending>.md``.

    Raises:
        UserError: If the target has another ending, cannot be written, or the weights cannot be in this format.
    """
    target = Path(target)
    if target.suffix != ".safetensors":
        raise UserError(f"'{target}': weights are published as .safetensors; name the file so.")
    if not target.absolute().parent.is_dir():
        raise UserError(f"The folder of '{target}' does not exist; make it first.")
    tensors = own_memory({name: value for name, value in state_dict.items() if isinstance(value, Tensor)})
    parts = Counter(".".join(name.split(".")[:2]) if name.count(".") > 1 else name.split(".")[0] for name in tensors)
    ours = any(name.startswith("image_encoder.backbone.") for name in tensors)
    card = target.with_suffix(".md")
    with replacing_output(target) as weights, replacing_output(card) as text:
        write_safetensors(tensors, weights, {"format": "pt", "mgca_mm": __version__})
        filled = _CARD.format(
            name=target.stem,
            version=__version__,
            file=target.name,
            size=weights.stat().st_size / 1e6,
            sha256=sha256_of(weights),
            tensors=len(tensors),
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            parts="\n".join(f"| `{part}` | {count} |" for part, count in parts.items()),
            prefix=", prefix='image_encoder.backbone.'" if ours else "",
        )
        text.write_text(filled, encoding="utf-8")
    return card
