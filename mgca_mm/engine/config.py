"""Reading a config with the command line's changes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mgca_mm.bounds import parts_of, read_json
from mgca_mm.errors import UserError, first_line
from mgca_mm.prepared import MANIFEST, coco_fault, read_annotations, require_prepared

from .config_errors import datasets_of
from .config_files import CONFIGS, assignments, base_files, own_values, with_our_hooks
from .file_handlers import safe_reading
from .own_classes import follow_classes
from .schedule import follow_max_epochs
from .validation import require_known_options
from .vocabulary import follow_vocabulary, require_embeddings

# Variables on top of our configs. Python substitutes them when a config file is read, too early for what is set on top.
VARIABLES = ("data_root", "text_model", "image_init", "phrases")
RANDOM = "random"


def find_config(name: str | Path) -> Path:
    """A file if there is one of this name, else a config of this package.

    Args:
        name: File, or name as ``mgca/pretrain_vit`` or, in MMEngine's spelling, ``mgca_mm::mgca/pretrain_vit.py``.

    Raises:
        UserError: There is none.
    """
    short = str(name).removeprefix("mgca_mm::").removesuffix(".py")
    for found in (Path(name), CONFIGS / f"{short}.py"):
        if found.is_file():
            return found
    raise UserError(
        f"Config '{name}' does not exist; give a file, or a name such as mgca/pretrain_vit.\n"
        f"The configs of this package are in {CONFIGS}."
    )


def load_config(filename: str | Path, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and apply ``--cfg-options``.

    A file or an option that sets one of :data:`VARIABLES` changes it wherever a config below has used it;
    ``max_epochs`` changes the schedule, too. ``image_init=random`` leaves the image encoder to its own initialization.
    There are the default hooks of every run, for options to change them.

    Args:
        filename: Config file, or the name of a config as :func:`find_config` takes it.
        options: Dotted key → value.

    Raises:
        UserError: If the file does not exist or cannot be read, or an option names nothing.
    """
    path = find_config(filename)
    try:
        with safe_reading():
            cfg = Config.fromfile(path)
            for name, value, above in _variables_below(path):
                _replace(cfg._cfg_dict, value, cfg[name], above)
    except UserError:
        raise
    except Exception as error:  # a config is Python, and can fail in any way that Python can
        hint = "\nA base has its ending: mgca_mm::mgca/pretrain_vit.py" if isinstance(error, FileNotFoundError) else ""
        what = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"Config '{filename}' cannot be read: {what}{hint}") from error
    options = dict(options or {})
    cfg.default_hooks = with_our_hooks(cfg.get("default_hooks"))
    require_known_options(cfg._cfg_dict, options)
    follow_max_epochs(cfg, path, options)
    for name in VARIABLES:
        if name in options and name in cfg:
            _replace(cfg._cfg_dict, cfg[name], options[name])
    # Before other options, which may change what these fill in.
    follow_classes(cfg)
    follow_vocabulary(cfg)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"--cfg-options do not fit '{filename}': {str(error)[:300]}") from error
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader") or {}
        if loader.get("num_workers") == 0:
            # torch takes none of these without workers.
            loader.update(persistent_workers=False, prefetch_factor=None, timeout=0)
            loader.pop("multiprocessing_context", None)
    if cfg.get("image_init") == RANDOM:
        for part in parts_of(cfg._cfg_dict):
            if isinstance(part, dict) and (part.get("init_cfg") or {}).get("checkpoint") == RANDOM:
                part["init_cfg"] = None
    return cfg


def require_data(cfg: Config, splits: Sequence[str] = ("train", "val", "test")) -> None:
    """Check, before a model is built, that the annotation files exist and have what the model is for.

    Args:
        cfg: The config.
        splits: Those that the run reads.

    Raises:
        UserError: If an annotation file is missing, one of labels has not those of the head, one of boxes has none, or
            a trained tokenizer has more pieces than the text encoder rows.
    """
    for split in splits:
        for dataset in datasets_of(cfg.get(f"{split}_dataloader")):
            if dataset.get("type", "").endswith("ImageReportDataset"):
                require_prepared(Path(dataset["data_root"]) / dataset["ann_file"])
                require_embeddings(cfg, dataset)
            elif dataset.get("type", "").endswith("ChestXrayDataset"):
                _require_labels(cfg, dataset)
            elif dataset.get("type", "").endswith("CocoDataset"):
                data_root, ann_file = dataset.get("data_root") or "", dataset.get("ann_file") or ""
                if not dataset.get("backend_args") and "://" not in f"{data_root}{ann_file}":  # not on this machine
                    _require_boxes(Path(data_root), ann_file)


def _require_labels(cfg: Config, dataset: dict) -> None:
    """Check that there are as many labels as the head of a classifier has classes."""
    wanted = (cfg.model.get("head") or {}).get("num_classes")
    path = Path(dataset["data_root"]) / dataset["ann_file"]
    require_prepared(path)
    classes = dataset.get("classes") or read_annotations(path)[0].get("classes") or []
    if wanted is not None and len(classes) != wanted:
        names = f": {', '.join(classes[:5])}{' …' if len(classes) > 5 else ''}" if classes else ""
        raise UserError(
            f"'{path}' has {len(classes)} labels{names}; the config's model.head.num_classes is {wanted}.\n"
            "A config that takes the labels of the folder: downstream/classification/custom_vit (or custom_resnet50)."
        )


def _require_boxes(data_root: Path, ann_file: str) -> None:
    """Check a file of boxes before a detector, which would train on none at all and then have no best checkpoint."""
    path = data_root / ann_file
    if not path.is_file():
        raise UserError(
            f"'{data_root}' has nothing for the detection: there is no {ann_file}.\n"
            "Prepare data with boxes, or point to them: --cfg-options data_root=DIR"
        )
    if not (data_root / MANIFEST).exists():  # mmdet takes it as it is
        return
    content = read_json(path)
    if fault := coco_fault(content):
        raise UserError(
            f"'{path}' is not in COCO's format: it {fault}.\nPrepare the data set again with mgca-mm prepare."
        )
    if not content["annotations"]:
        raise UserError(
            f"'{data_root}' has no box in {ann_file}: nothing can be learned or measured there.\n"
            "Prepare the data set again with images of boxes in each split (--split-list FILE)."
        )


def _variables_below(path: Path, above: tuple[dict, ...] = ()) -> Iterator[tuple[str, Any, tuple[dict, ...]]]:
    """Each variable that a file below a config sets, with its value there, and what the files above that one set."""
    bases = base_files(path)
    above = (*above, own_values(path)) if bases else above
    for base in bases:
        names = [name for name in assignments(base) if name in VARIABLES]
        values = Config.fromfile(base, import_custom_modules=False) if names else {}
        yield from ((name, values[name], above) for name in names)
        yield from _variables_below(base, above)


def _replace(node: Any, old: str, new: Any, above: Sequence = ()) -> None:
    """Replace a string wherever it is a whole value of a nested config, but for what ``above`` sets itself."""
    items = node.items() if isinstance(node, ConfigDict | dict) else enumerate(node)
    for key, value in list(items):
        own = [part[key] for part in above if isinstance(part, Mapping) and key in part]
        if isinstance(value, dict | list):
            if not any(isinstance(part, list) for part in own):
                _replace(value, old, new, own)
        elif value == old and isinstance(value, str) and not own:
            node[key] = new
