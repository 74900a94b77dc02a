"""The tokenizer of a prepared data set: trained on its training reports, or copied from a folder or the hub."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mgca_mm.errors import UserError

if TYPE_CHECKING:  # transformers takes seconds to import: only the functions that need it wait for it.
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # Their order gives [PAD] the id 0.
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json")
OWN_CODE = (
    "needs code of its own, which is never run here.\n"
    "A BERT under another name, such as CXR-BERT, loads without it: in a copy of its folder, take auto_map out of "
    "config.json and tokenizer_config.json, and write model_type 'bert' and tokenizer_class 'BertTokenizer' there."
)


def train_tokenizer(sentences: Iterable[str], vocab_size: int) -> "BertTokenizerFast":
    """Train a WordPiece tokenizer with BERT's conventions; the same sentences give the same tokenizer.

    Args:
        sentences: Cleaned sentences, lower-case already, hence a cased tokenizer.
        vocab_size: Largest number of tokens; small texts give fewer.

    Returns:
        A fast tokenizer with ``##`` continuations and ``[CLS] … [SEP]`` around a text.
    """
    from transformers import BertTokenizerFast

    sentences = list(sentences)
    characters = sorted(set().union(*sentences) - {" "})
    # The trainer numbers continuation characters in the order of a hash map that differs from process to process, and
    # breaks ties between merges by these numbers. Given as special tokens, they are numbered here; the final tokenizer
    # is built from the vocabulary alone, where they are ordinary again.
    alphabet = [*characters, *(f"##{character}" for character in characters)]
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=[*_SPECIAL_TOKENS, *alphabet], show_progress=False
    )
    learner.train_from_iterator(sentences, trainer)

    tokenizer = Tokenizer(models.WordPiece(learner.get_vocab(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", _SPECIAL_TOKENS.index("[SEP]")), ("[CLS]", _SPECIAL_TOKENS.index("[CLS]"))
    )
    return BertTokenizerFast(tokenizer_object=tokenizer, do_lower_case=False, model_max_length=512)


def load_tokenizer(name: str) -> "PreTrainedTokenizerFast":
    """Load a tokenizer from a folder, or from the hub where no such folder exists.

    Args:
        name: Folder or hub name; the hub is asked only because the user named it.

    Raises:
        UserError: It cannot be loaded, has no fast version, or lacks [CLS], [SEP] or padding.
    """
    from transformers import AutoTokenizer

    is_folder = Path(name).is_dir()
    # Out of reach, the hub's client would print a page of retries before the one message that helps.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        # No code from the hub or the folder is run.
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=is_folder, trust_remote_code=False)
    except Exception as error:  # transformers, its hub client and its parsers raise dozens of kinds.
        if needs_own_code(error):
            raise UserError(f"Tokenizer '{name}' {OWN_CODE}") from error
        raise UserError(
            f"Tokenizer '{name}' cannot be loaded ({type(error).__name__})\n"
            "Give a local folder that holds tokenizer.json or vocab.txt, or let tools/prepare_data.py train one."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"Tokenizer '{name}' has no fast version, and word pieces must be mapped to words")
    if None in (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id):
        raise UserError(f"Tokenizer '{name}' has no [CLS], [SEP] or padding token; use one of the BERT family")
    return tokenizer


def needs_own_code(error: Exception) -> bool:
    """Whether transformers could not load a model or tokenizer because it is none of its own; see :data:`OWN_CODE`."""
    # auto_map names the code; without it, the class that it defines is unknown.
    signs = ("trust_remote_code", "does not recognize this architecture", "is not currently imported")
    return any(sign in str(error) for sign in signs)


def describe_tokenizer(name: str | None) -> str:
    """What the manifest says of a tokenizer: no absolute path, but a fingerprint of a folder's tokenizer files."""
    if name is None:
        return "trained"
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for path in (folder / file for file in _TOKENIZER_FILES):
        if path.is_file():
            digest.update(path.read_bytes())
    return f"{folder.resolve().name} ({digest.hexdigest()[:16]})"
