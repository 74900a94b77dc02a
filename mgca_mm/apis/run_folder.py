"""What the folder of a run says of its model."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mgca_mm.checkpoints.conversion.huggingface import Training
from mgca_mm.errors import UserError
from mgca_mm.radiographs.frame import Frame

_READ = ("model", "train_dataloader", "test_dataloader", "optim_wrapper", "max_epochs", "randomness")
_PLAIN = re.compile(r"[\w.,+ -]+")  # names and numbers, not paths
_FAULTS = (AttributeError, LookupError, MemoryError, OSError, RecursionError, SyntaxError, TypeError, ValueError)


def config_beside(checkpoint: str | Path) -> Path:
    """The config that a run has written into the folder of its checkpoints, given the folder or one of these.

    Raises:
        UserError: There is none, or there are several.
    """
    path = Path(checkpoint).absolute()
    found = sorted((path if path.is_dir() else path.parent).glob("*.py"))
    if len(found) != 1:
        raise UserError(f"{len(found)} configs lie beside '{checkpoint}': name the one that it was trained with.")
    return found[0]


def frame_of(pipeline: Sequence[dict], crop_size: int | None) -> Frame | None:
    """How a model sees a radiograph.

    Args:
        pipeline: Configs of the test pipeline's transforms.
        crop_size: Side of the crop that the data preprocessor makes; None: it makes none.

    Returns:
        None where no ``ResizeAndPad`` is in the pipeline.
    """
    square = next((step["size"] for step in pipeline if step["type"].rpartition(".")[2] == "ResizeAndPad"), None)
    crop = crop_size or next((step["crop_size"] for step in pipeline if "crop_size" in step), square)
    return None if square is None else Frame(square, crop)


def training_of(checkpoint: str | Path) -> Training | None:
    """How the image encoder of a checkpoint was pretrained, by the config beside it, of which nothing is run.

    Args:
        checkpoint: A file, or the folder of a run.

    Returns:
        None where no config lies beside it, or one that is no plain data or of no pretraining.
    """
    try:
        path = config_beside(checkpoint)
        return _training(path.stem, _values(path))
    except (UserError, *_FAULTS):
        return None


class _AsLiterals(ast.NodeTransformer):
    """``dict(a=1)``, as runs write their configs → ``{'a': 1}``, which is a literal."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id == "dict"):
            return node
        if node.args:
            return node.args[0]
        return ast.Dict([ast.Constant(word.arg) for word in node.keywords], [word.value for word in node.keywords])


def _values(path: Path) -> dict[str, Any]:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    values = {node.targets[0].id: node.value for node in nodes if isinstance(node, ast.Assign)}
    return {name: ast.literal_eval(_AsLiterals().visit(values[name])) for name in _READ if name in values}


def _training(name: str, cfg: dict[str, Any]) -> Training | None:
    model = cfg["model"]
    encoder, preprocessor = model["image_encoder"], model["data_preprocessor"]
    frame = frame_of(cfg["test_dataloader"]["dataset"]["pipeline"], preprocessor.get("crop_size"))
    if frame is None:
        return None
    optimizer = cfg.get("optim_wrapper", {}).get("optimizer", {})
    facts = {
        "config": name,
        "aligned by": ", ".join(part["type"] for part in model["alignments"].values()),
        "pooled by": (encoder.get("pooling") or {}).get("type"),
        "epochs": cfg.get("max_epochs"),
        "batch size": cfg.get("train_dataloader", {}).get("batch_size"),
        "optimizer": optimizer.get("type"),
        "learning rate": optimizer.get("lr"),
        "seed": cfg.get("randomness", {}).get("seed"),
    }
    return Training(
        square=int(frame.square),
        crop=int(frame.crop),
        resize_to=int(encoder["resize_to"]) if encoder.get("resize_to") else None,
        **{name: (float(preprocessor.get(name, 127.5)),) * 3 for name in ("mean", "std")},
        facts={what: str(value) for what, value in facts.items() if value is not None and _PLAIN.fullmatch(str(value))},
    )
