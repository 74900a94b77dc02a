"""Files of a model as transformers saves it: in a folder, or on the hub where the user named no folder."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OWN_CODE = (
    "needs code of its own, which is never run here.\n"
    "A BERT under another name, such as CXR-BERT, loads without it: in a copy of its folder, take auto_map out of "
    "config.json and tokenizer_config.json, and write model_type 'bert' and tokenizer_class 'BertTokenizer' there."
)


def find_file(name: str, file: str, required: bool = False) -> Path | None:
    """One file of a model.

    Only what is asked for here is read or downloaded. transformers itself would go by further names, which stand in
    the files: of other weights, of shards and tokenizers anywhere on the disk, of adapters, of code.

    Args:
        name: Folder or hub name.
        file: Plain name, which is ours or was checked. A link in a folder is followed: the hub's cache is made of them.
        required: Of the hub, tell a model that cannot be reached from a file that it does not have.

    Returns:
        The local file, or None where there is none.

    Raises:
        OSError: The hub cannot be reached, or has no such model (``required`` only).
        ValueError: What is named is neither a folder nor a name that the hub could have.
    """
    if Path(name).is_dir():
        found = Path(name, file)
        return found if found.exists() else None
    from huggingface_hub import constants
    from transformers.utils import cached_file

    found = cached_file(
        name,
        file,
        local_files_only=not _can_reach(constants.ENDPOINT),
        _raise_exceptions_for_missing_entries=required,
    )
    return None if found is None else Path(found)


@functools.cache  # once a process: a model has a dozen files
def _can_reach(url: str) -> bool:
    """Whether the hub answers.

    Asked once, in ten seconds at most. The hub's own client asks six times for each file, for half a minute, and prints
    a page of retries before the one message that helps.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # where it fails later on
    try:
        get_session().head(url, timeout=10)
    except OSError:  # all that requests raises
        return False
    return True


def model_type(config: Mapping[str, Any], name: str) -> Any:
    """The kind of a model by its config.json.

    Args:
        config: Content of the file.
        name: Folder or hub name. Models of the first years have no ``model_type``; transformers, too, goes by their
            names.
    """
    from transformers import CONFIG_MAPPING

    known = sorted(CONFIG_MAPPING, key=len, reverse=True)
    return config.get("model_type") or next((kind for kind in known if kind in str(name)), None)
