"""The tokenizer of a prepared data set: trained on its training reports, or copied from a folder or the hub."""

import base64
import contextlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mgca_mm.bounds import allowed_bytes, parts_of, read_json, size_of
from mgca_mm.errors import UserError
from mgca_mm.files import sha256_of
from mgca_mm.model_folders import OWN_CODE, find_file, model_type

if TYPE_CHECKING:  # transformers takes seconds to import: only the functions that need it wait for it.
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # Their order gives [PAD] the id 0.
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json")
_TEXT_FILES = ("vocab.txt", "merges.txt")
_SPECIAL = tuple(f"{name}_token" for name in ("cls", "sep", "pad", "unk", "mask", "bos", "eos"))
# What is taken of the json files; other keys name files anywhere on the disk, code and templates that are run, or the
# side on which a text is cut and padded, which is the right one here.
_KEYS = {
    "config.json": frozenset({"model_type", "tokenizer_class"}),
    "tokenizer_config.json": frozenset(
        {"tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "do_basic_tokenize"}
        | {"add_prefix_space", "trim_offsets", "clean_up_tokenization_spaces", "model_max_length"}
        | {"added_tokens_decoder", "additional_special_tokens", "extra_special_tokens", *_SPECIAL}
    ),
    "special_tokens_map.json": frozenset({"additional_special_tokens", *_SPECIAL}),
    "tokenizer.json": None,
    "added_tokens.json": None,
    "vocab.json": None,
}
_LONGEST_PIECE = 512  # characters
_BYTES_OF_A_PIECE = 400  # in memory, here and in tokenizers
_LONGEST_AFFIX = 8  # characters of '##', '</w>' and the like
_LONGEST_WORD = 200  # characters that are looked up piece by piece, which takes the square of them; BERT: 100
_MOST_STEPS = 200  # lists and dicts that describe the steps before and after the pieces
_LONGEST_REPLACEMENT = 128  # bytes for one character in a table of normal forms; Unicode's: 54
# One character, or a run of one kind, or alternatives of these: what takes time in proportion to the text.
_CHARACTER = r"(?:[^\\\[\](){}.*+?^$|]|\\[^\w]|\\[sSdDwWnrt]|\.|\[(?:[^\\\[\]&]|\\[^\w]|\\[sSdDwWnrt])+\])"
_RUN = rf"{_CHARACTER}(?:\+|\{{[1-9],?\}})?"
_PLAIN_REGEX = re.compile(rf"{_RUN}(?:\|{_RUN})*")
# Of CLIP, Qwen 2 and LLaMA 3, which take time in proportion to the text, too.
_KNOWN_REGEXES = {
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    *(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + number + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+"
        for number in (r"\p{N}", r"\p{N}{1,3}")
    ),
}
# What stands for the space before a word: itself, in sentencepiece, in byte-level pieces.
_SPACE = "[ \u2581\u0120]"


def train_tokenizer(sentences: Iterable[str], vocab_size: int) -> "BertTokenizerFast":
    """Train a WordPiece tokenizer with BERT's conventions; the same sentences give the same tokenizer.

    Args:
        sentences: Cleaned sentences, lower-case already, hence a cased tokenizer.
        vocab_size: Largest number of tokens; small texts give fewer. Of more characters than that, as scripts of
            thousands can have, the most frequent are taken, and the others are unknown.

    Returns:
        A fast tokenizer with ``##`` continuations and ``[CLS] … [SEP]`` around a text.
    """
    from transformers import BertTokenizerFast

    sentences = list(sentences)
    normalizer = normalizers.BertNormalizer(lowercase=False)
    counts = Counter(chain.from_iterable(sentences))
    del counts[" "]
    # Each ideograph is a word to BERT's normalizer, and continues none.
    initial = {character for character in counts if normalizer.normalize_str(character) != character}
    room = vocab_size - len(_SPECIAL_TOKENS)
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    widths = accumulate(1 if character in initial else 2 for character in frequent)
    characters = sorted(character for character, width in zip(frequent, widths, strict=True) if width <= room)
    # The trainer numbers continuation characters in the order of a hash map that differs from process to process, and
    # breaks ties between merges by these numbers. Given as special tokens, they are numbered here; the final tokenizer
    # is built from the vocabulary alone, where they are ordinary again.
    alphabet = [*characters, *(f"##{character}" for character in characters if character not in initial)]
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer = normalizer
    learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=[*_SPECIAL_TOKENS, *alphabet], show_progress=False
    )
    rare = dict.fromkeys(map(ord, counts.keys() - set(characters)))
    learner.train_from_iterator((sentence.translate(rare) for sentence in sentences) if rare else sentences, trainer)

    tokenizer = Tokenizer(models.WordPiece(learner.get_vocab(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", _SPECIAL_TOKENS.index("[SEP]")), ("[CLS]", _SPECIAL_TOKENS.index("[CLS]"))
    )
    return BertTokenizerFast(tokenizer_object=tokenizer, do_lower_case=False, model_max_length=512)


def load_tokenizer(name: str) -> "PreTrainedTokenizerFast":
    """Load a tokenizer from a folder, or from the hub where no such folder exists.

    transformers is given copies of the known files, of which everything that it could follow elsewhere, run, or that
    could keep it busy without end was left out or refused: regular expressions other than of single characters and
    their runs (the library's search for others can take longer than anyone waits, and cannot be interrupted),
    replacements longer than what they replace, long pieces. The tokenizers of the BERT family have nothing of the kind.

    Those of other families are brought into the form that a report has here: [CLS] and [SEP] around it, for which their
    own tokens of beginning and end are taken (GPT-2 has one for both, T5 that of the end), padding on the right, and
    words that can be told apart: where the pieces of a whole text are one word (LLaMA), it is split before each space.

    Args:
        name: Folder or hub name; the hub is asked only because the user named it.

    Raises:
        UserError: It cannot be loaded, has no fast version, no token for beginning or end, makes letters or spaces
            words, or is refused as above.
    """
    from transformers import AutoTokenizer

    with _typed_errors(name):
        # Every model has config.json: if it is not had, the hub is out of reach.
        paths = {file: find_file(name, file, required=file == "config.json") for file in (*_KEYS, *_TEXT_FILES)}
    with tempfile.TemporaryDirectory() as copies:
        for file, path in paths.items():
            if path is not None:
                _copy_checked(name, file, path, Path(copies))
        with _typed_errors(name):
            tokenizer = AutoTokenizer.from_pretrained(copies, local_files_only=True, trust_remote_code=False)
    tokenizer.name_or_path = str(name)
    if not tokenizer.is_fast:
        raise UserError(f"Tokenizer '{name}' has no fast version, and word pieces must be mapped to words")
    tokenizer.padding_side = tokenizer.truncation_side = "right"  # tokenizer.json can say otherwise, too
    with _typed_errors(name):
        _put_marks(tokenizer)
        _split_words(tokenizer)
        tokenizer.decode(tokenizer(_SAMPLE, max_length=16, truncation=True, padding="max_length")["input_ids"])
    return tokenizer


def _put_marks(tokenizer: "PreTrainedTokenizerFast") -> None:
    """Let [CLS] and [SEP], or what the tokenizer has instead, stand around each text, and padding be known."""
    names = (("cls_token", "bos_token"), ("sep_token", "eos_token"))
    first, last = (next(filter(None, (getattr(tokenizer, name) for name in side)), None) for side in names)
    if first is None and last is None:
        raise UserError(
            f"Tokenizer '{tokenizer.name_or_path}' has no token for the beginning or the end of a text.\n"
            "Name those that it has as cls_token and sep_token in its tokenizer_config.json."
        )
    tokenizer.cls_token, tokenizer.sep_token = first or last, last or first
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.sep_token
    marks = [(mark, tokenizer.convert_tokens_to_ids(mark)) for mark in (tokenizer.sep_token, tokenizer.cls_token)]
    if tokenizer("")["input_ids"] != [tokenizer.cls_token_id, tokenizer.sep_token_id]:
        tokenizer.backend_tokenizer.post_processor = processors.BertProcessing(*marks)


def _split_words(tokenizer: "PreTrainedTokenizerFast") -> None:
    """Split a text before each space, where the tokenizer itself does not tell which pieces are of one word."""
    if _count_words(tokenizer) == 2:
        return
    backend = tokenizer.backend_tokenizer
    steps = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
    split = pre_tokenizers.Split(Regex(_SPACE), "merged_with_next")
    backend.pre_tokenizer = pre_tokenizers.Sequence([*steps, split])
    if (count := _count_words(tokenizer)) != 2:
        raise UserError(
            f"Tokenizer '{tokenizer.name_or_path}' does not tell which pieces are of one word: it makes {count} of "
            "'no effusion'.\nGive its tokenizer.json a pre_tokenizer that makes words without the spaces between them, "
            "such as WhitespaceSplit, or let mgca-mm prepare train one."
        )


def _count_words(tokenizer: "PreTrainedTokenizerFast") -> int:
    return len({*tokenizer("no effusion").word_ids()} - {None})


# Words, numbers, signs, and every other character once, for tables of normal forms are checked only when they are used.
_SAMPLE = "no effusion, 2.5 cm " + "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000)))) + " \U0001fa7b"


@contextlib.contextmanager
def _typed_errors(name: str) -> Iterator[None]:
    """Turn what transformers and tokenizers make of a folder into an error that names it."""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # transformers, its hub client and its parsers raise dozens of kinds
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of Rust, with that base
            raise
        # Without auto_map, which names its code, the class that the code defines is unknown.
        if any(sign in str(error) for sign in ("does not recognize this architecture", "is not currently imported")):
            raise UserError(f"Tokenizer '{name}' {OWN_CODE}") from error
        raise UserError(
            f"Tokenizer '{name}' cannot be loaded ({type(error).__name__})\n"
            "Give a local folder that holds tokenizer.json or vocab.txt, or let mgca-mm prepare train one."
        ) from error


def _copy_checked(name: str, file: str, path: Path, target: Path) -> None:
    """Copy what may be read of a file; json is written anew, for a key that occurs twice could be read in two ways."""
    if file in _TEXT_FILES:
        size_of(path)
        try:
            with open(path, encoding="utf-8") as lines:
                _require_pieces(name, path, (line.rstrip("\r\n") for line in lines))
        except UnicodeDecodeError as error:
            raise UserError(f"Tokenizer '{name}': {file} is no text in UTF-8.") from error
        shutil.copyfile(path, target / file)
        return
    content, keys = read_json(path), _KEYS[file]
    if not isinstance(content, dict):
        raise UserError(f"Tokenizer '{name}': a dict is expected in {file}.")
    if keys is not None:
        content = {key: value for key, value in content.items() if key in keys}
    if file == "config.json":
        content["model_type"] = model_type(content, name)
    elif file == "tokenizer.json":
        _require_plain_steps(name, content)
        _require_pieces(name, path, _pieces(content))
    elif keys is None:
        _require_pieces(name, path, content)
    try:
        (target / file).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    except ValueError as error:
        raise UserError(f"Tokenizer '{name}': {file} has a number that is none.") from error


def _pieces(content: dict[str, Any]) -> Iterator[Any]:
    """Strings of tokenizer.json that are looked for in a text."""
    model = content.get("model")
    if not isinstance(model, dict):
        return
    vocabulary, added = model.get("vocab"), content.get("added_tokens")
    if isinstance(vocabulary, dict):
        yield from vocabulary
    elif isinstance(vocabulary, list):
        yield from (pair[0] for pair in vocabulary if isinstance(pair, list) and pair)
    if isinstance(added, list):
        yield from (token.get("content") for token in added if isinstance(token, dict))


def _require_pieces(name: str, path: Path, pieces: Iterable[Any]) -> None:
    most, count = allowed_bytes(path) // _BYTES_OF_A_PIECE, 0
    for count, piece in enumerate(pieces, 1):
        if isinstance(piece, str) and len(piece) > _LONGEST_PIECE:
            raise UserError(f"Tokenizer '{name}' is refused: {path.name} has a piece of {len(piece)} characters.")
        if count > most:
            raise UserError(f"Tokenizer '{name}' is refused: {path.name} has more pieces than can be read.")


def _require_plain_steps(name: str, content: dict[str, Any]) -> None:
    """Refuse in tokenizer.json what makes tokenizing slow or its text longer."""
    model = content.get("model")
    for key, value in model.items() if isinstance(model, dict) else ():
        if (key == "max_input_chars_per_word" and isinstance(value, int) and value > _LONGEST_WORD) or (
            isinstance(value, str) and key != "type" and len(value) > _LONGEST_AFFIX and not key.endswith("token")
        ):
            raise UserError(f"Tokenizer '{name}' is refused: tokenizer.json has a {key} that no BERT has.")
    steps = -1  # The list around them is none.
    for node in parts_of([content.get(part) for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]):
        steps += isinstance(node, dict | list)
        if steps > _MOST_STEPS:
            raise UserError(f"Tokenizer '{name}' is refused: tokenizer.json has more than {_MOST_STEPS} steps.")
        if isinstance(node, dict):
            _require_plain_step(name, node)


def _require_plain_step(name: str, step: dict[str, Any]) -> None:
    regex, pattern = step.get("Regex"), step.get("pattern")
    plain = isinstance(regex, str) and (_PLAIN_REGEX.fullmatch(regex) or regex in _KNOWN_REGEXES)
    if "Regex" in step and not plain:
        raise UserError(
            f"Tokenizer '{name}' is refused: tokenizer.json has a regular expression that may take without end.\n"
            "Those of the BERT family have none but for single characters and their runs; take one of them."
        )
    replaced = pattern.get("String") if isinstance(pattern, dict) else None
    replacement = step.get("content")
    if isinstance(replacement, str) and len(replacement) > (len(replaced) if isinstance(replaced, str) else 1):
        raise UserError(f"Tokenizer '{name}' is refused: tokenizer.json replaces a part of the text by a longer one.")
    charsmap = step.get("precompiled_charsmap")
    for key, value in step.items():
        if isinstance(value, str) and len(value) > _LONGEST_PIECE and key != "precompiled_charsmap":
            raise UserError(
                f"Tokenizer '{name}' is refused: tokenizer.json has a {key[:40]} of {len(value)} characters."
            )
    if isinstance(charsmap, str) and _longest_replacement(name, charsmap) > _LONGEST_REPLACEMENT:
        raise UserError(f"Tokenizer '{name}' is refused: its table of normal forms makes a text far longer.")


def _longest_replacement(name: str, charsmap: str) -> int:
    """Of sentencepiece's table: the size of a tree, the tree, and the replacements, with a zero after each."""
    try:
        table = base64.b64decode(charsmap)
    except ValueError as error:
        raise UserError(f"Tokenizer '{name}': its table of normal forms is damaged.") from error
    tree_size = int.from_bytes(table[:4], "little")
    return max(map(len, table[4 + tree_size :].split(b"\0")))


def describe_tokenizer(name: str | None) -> str:
    """What the manifest says of a tokenizer: no absolute path, but a fingerprint of a folder's tokenizer files."""
    if name is None:
        return "trained"
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = sha256_of(*(folder / file for file in _TOKENIZER_FILES if (folder / file).is_file()))
    return f"{folder.resolve().name} ({digest[:16]})"
