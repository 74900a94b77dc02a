"""Text models of all families, with tokenizers of their own kind, from folders into the pretraining and its figure."""

import copy
import json

import pytest
import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from mgca_mm.datasets.transforms import TokenizeReport
from mgca_mm.errors import UserError
from mgca_mm.models import TextEncoder
from mgca_mm.radiographs.frame import Frame
from mgca_mm.registry import MODELS
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer
from mgca_mm.visualization.attention import Grounding
from mgca_mm.visualization.attention_figure import draw_attention
from tests.conftest import SMALL_MODEL
from tests.test_fuzz.cases import bounded, in_time

REPORTS = [
    "no pleural effusion is seen",
    "the lungs are clear",
    "there is a left-sided opacity , 2.5 cm",
    "no pleural effusion is seen .",
]
LENGTH = 32


def byte_level(special, regex=None, **kwargs):
    """Of GPT-2, RoBERTa; with another expression than theirs, of CLIP, Qwen."""
    tokenizer = Tokenizer(models.BPE(**kwargs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if regex is not None:
        split = pre_tokenizers.Split(Regex(regex), "removed" if kwargs else "isolated", invert=bool(kwargs))
        letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    trainer = trainers.BpeTrainer(
        vocab_size=300 + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **kwargs,
    )
    tokenizer.train_from_iterator(REPORTS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram(special, split=True):
    """Of sentencepiece: T5, XLM-R, ALBERT; ``split`` False: pieces of a whole text are one word."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(REPORTS, trainer)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def spaceless():
    """Of LLaMA: no step before the pieces, which are those of a text whose spaces are letters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(REPORTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def word_pieces():
    return train_tokenizer(REPORTS, 100)


def of(kind, *args, made_by=byte_level, special=(), **names):
    return lambda: getattr(transformers, kind)(tokenizer_object=made_by(list(special), *args), **names)


CLIP_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
roberta = of("RobertaTokenizerFast", special=ROBERTA)
xlm_roberta = of("XLMRobertaTokenizerFast", made_by=unigram, special=ROBERTA)
t5 = of("T5TokenizerFast", made_by=unigram, special=("<pad>", "</s>", "<unk>"), extra_ids=0)
SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
T5 = dict(d_model=32, d_kv=8, num_layers=2, num_heads=4, d_ff=64)
BART = dict(
    d_model=32,
    encoder_layers=2,
    decoder_layers=3,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
)
FAMILIES = {
    "bert": (SIZES, word_pieces),
    "gpt2": (dict(n_embd=32, n_layer=2, n_head=4), of("GPT2TokenizerFast", special=["<|endoftext|>"])),
    "t5": (T5, t5),
    "roberta": (SIZES, roberta),
    "xlm-roberta": (SIZES, xlm_roberta),
    "distilbert": (dict(dim=32, n_layers=2, n_heads=4, hidden_dim=64), word_pieces),
    "electra": (dict(embedding_size=16, **SIZES), word_pieces),
    "albert": (
        dict(embedding_size=16, **SIZES),
        of("AlbertTokenizerFast", made_by=unigram, special=("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
    ),
    "deberta-v2": (SIZES, word_pieces),
    "modernbert": (dict(pad_token_id=0, **SIZES), word_pieces),
    "mpnet": (SIZES, word_pieces),
    "longformer": (dict(attention_window=8, **SIZES), roberta),
    "big_bird": (SIZES, word_pieces),
    "xlnet": (
        dict(d_model=32, n_layer=2, n_head=4, d_inner=64),
        of(
            "XLNetTokenizerFast",
            made_by=unigram,
            special=("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eop>", "<eod>"),
        ),
    ),
    "bart": (BART, of("BartTokenizerFast", special=ROBERTA)),
    "pegasus": (BART, t5),
    "led": (dict(attention_window=8, **BART), roberta),
    "clip_text_model": (
        dict(max_position_embeddings=LENGTH, **SIZES),
        lambda: transformers.CLIPTokenizerFast(
            tokenizer_object=byte_level(["<|startoftext|>", "<|endoftext|>"], CLIP_SPLIT, end_of_word_suffix="</w>")
        ),
    ),
    "llama": (
        SIZES,
        lambda: transformers.LlamaTokenizerFast(tokenizer_object=spaceless(), legacy=False),
    ),
    "mistral": (
        dict(num_key_value_heads=2, **SIZES),
        of(
            "PreTrainedTokenizerFast",
            False,
            made_by=unigram,
            special=("<pad>", "</s>", "<unk>"),
            eos_token="</s>",
            unk_token="<unk>",
            padding_side="left",
        ),
    ),
    "qwen2": (
        dict(num_key_value_heads=2, **SIZES),
        of("Qwen2TokenizerFast", QWEN_SPLIT, special=["<|endoftext|>"]),
    ),
}
FAST = {"bert", "gpt2", "t5"}
CAUSAL = {"gpt2", "clip_text_model", "llama", "mistral", "qwen2"}


def save_family(name, folder):
    """A folder as the hub has it: weights of the whole model, of an encoder–decoder both, and the tokenizer."""
    sizes, make_tokenizer = FAMILIES[name]
    tokenizer = make_tokenizer()
    config = AutoConfig.for_model(name, **{"vocab_size": len(tokenizer), **sizes})
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def left_padded(reports):
    """The same reports with their padding before them."""
    real = reports["attention_mask"].sum(1)
    return {
        key: torch.stack([row.roll(-int(count)) for row, count in zip(values, real, strict=True)])
        for key, values in reports.items()
    }


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_a_training_step_and_the_figure(name, tmp_path):
    folder = save_family(name, tmp_path / "model")
    tokenize = TokenizeReport(folder, max_length=LENGTH)
    text_encoder = dict(type="mgca_mm.TextEncoder", pretrained=folder, max_length=LENGTH)
    model = MODELS.build({**copy.deepcopy(SMALL_MODEL), "text_encoder": text_encoder})
    assert model.text_encoder.is_causal == (name in CAUSAL)
    inputs = dict(image=torch.randn(len(REPORTS), 3, 32, 32), **tokenize.batch(REPORTS))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = model(inputs, mode="loss")
    sum(value for key, value in losses.items() if "loss" in key).backward()
    first = model.text_encoder.model.get_input_embeddings().weight
    assert first.grad[inputs["input_ids"][0, 1]].any()  # the words of the report are learned
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())

    model.eval()
    with torch.no_grad():
        image, text = model(inputs)
        alone = model(inputs | left_padded({key: inputs[key] for key in inputs if key != "image"}))[1]
        vectors = model.text_encoder(*(inputs[key] for key in ("input_ids", "attention_mask", "is_continuation")))
    for ours, theirs in zip(alone, text, strict=True):
        torch.testing.assert_close(ours, theirs)
    distances = torch.pdist(vectors.global_feature)
    assert distances.min() > 1e-4 * vectors.global_feature.norm(dim=1).max(), "reports cannot be told apart"
    assert (vectors.token_weight[vectors.token_mask] > 0).all()

    words = tokenize.words(dict(report=REPORTS[0]))
    assert words == [*REPORTS[0].split(), "[SEP]"] and text.token_mask[0].sum() == len(words)
    grounding = Grounding.of(model.attend(image, text), text, words)
    torch.testing.assert_close(torch.tensor(grounding.words_to_regions.sum(1)), torch.ones(len(words)))
    pixels = (torch.rand(32, 32) * 255).byte().numpy()
    assert draw_attention(pixels, grounding, Frame(32, 32), tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_of_a_causal_model_the_last_piece_is_taken(name, tmp_path):
    """Its state, and its attention to the words, report by report without padding."""
    folder = save_family(name, tmp_path)
    encoder = TextEncoder(folder, max_length=LENGTH).eval()
    inputs = TokenizeReport(folder, max_length=LENGTH).batch(REPORTS)
    features = encoder(**inputs)
    for row, count in enumerate(inputs["attention_mask"].sum(1)):
        output = encoder.model(inputs["input_ids"][row : row + 1, :count], output_attentions=True)
        torch.testing.assert_close(features.global_feature[row], output.last_hidden_state[0, -1])
        attention = output.attentions[-1][0, :, -1].mean(0)
        torch.testing.assert_close(features.token_weight[row].sum(), attention[1:].sum())
    mean = TextEncoder(folder, max_length=LENGTH, pooling="mean").eval()(**inputs).global_feature
    assert not torch.allclose(mean, features.global_feature)
    with pytest.raises(UserError, match=r"cls_word.*\n.*pooling='cls'"):
        TextEncoder(folder, max_length=LENGTH, pooling="cls_word")


def test_a_bert_can_be_causal():
    for causal in (False, True):
        encoder = TextEncoder(config=dict(model_type="bert", vocab_size=50, is_decoder=causal, **SIZES))
        assert encoder.is_causal is causal


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_of_an_encoder_decoder_the_encoder_is_taken(name, tmp_path):
    folder = save_family(name, tmp_path)
    whole = AutoModel.from_pretrained(folder).eval()
    encoder = TextEncoder(folder, max_length=LENGTH).eval()
    inputs = TokenizeReport(folder, max_length=LENGTH).batch(REPORTS)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    expected = whole.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(**inputs).global_feature, expected)
    assert not any("decoder" in key for key in encoder.state_dict())
    shorter = TextEncoder(folder, max_length=LENGTH, num_hidden_layers=1).model
    assert len(list(shorter.parameters())) < len(list(encoder.model.parameters()))


def test_the_text_model_of_a_whole_clip(tmp_path):
    sizes = dict(vocab_size=50, max_position_embeddings=LENGTH, **SIZES)
    vision = dict(image_size=32, patch_size=16, **SIZES)
    clip = AutoModel.from_config(AutoConfig.for_model("clip", text_config=sizes, vision_config=vision)).eval()
    clip.save_pretrained(tmp_path)
    ids = torch.randint(50, (2, 8))
    features = TextEncoder(str(tmp_path), max_length=LENGTH).eval()(ids, torch.ones_like(ids), torch.zeros_like(ids))
    torch.testing.assert_close(features.global_feature, clip.text_model(ids).last_hidden_state[:, -1])


def test_padding_of_a_small_vocabulary():
    """ModernBERT's own stands at 50283; what is given stays, and is refused where no row is."""
    sizes = dict(model_type="modernbert", vocab_size=50, **SIZES)
    assert TextEncoder(config=sizes).model.config.pad_token_id == 0
    assert TextEncoder(config=dict(pad_token_id=3, **sizes)).model.config.pad_token_id == 3
    with pytest.raises(UserError, match=r"'modernbert' of model\.text_encoder\.config cannot be built.*\n.*arguments"):
        TextEncoder(config=dict(pad_token_id=50, **sizes))


@pytest.mark.parametrize(
    "config",
    [
        dict(model_type="fnet", vocab_size=50, hidden_size=32, num_hidden_layers=2, intermediate_size=64),
        dict(model_type="mamba", vocab_size=50, hidden_size=32, num_hidden_layers=2),
        dict(model_type="vit"),
        dict(model_type="whisper"),
        dict(model_type="roberta", vocab_size=50, max_position_embeddings=64, **SIZES),
        dict(model_type="bert", vocab_size=50, **{**SIZES, "num_attention_heads": 5}),
    ],
    ids=lambda config: config["model_type"],
)
def test_what_cannot_be_used_is_named_with_a_remedy(config):
    remedy = rf"'{config['model_type']}' of model\.text_encoder\.config.*\n.*[Tt]ake an encoder of text"
    with pytest.raises(UserError, match=remedy):
        TextEncoder(config=config)


SQUEEZED = {f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")}
PROPHETNET = dict(
    num_encoder_layers=2,
    num_decoder_layers=2,
    num_encoder_attention_heads=4,
    num_decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
)


@pytest.mark.parametrize(
    "config",
    [
        dict(model_type="squeezebert", embedding_size=32, **SQUEEZED, **SIZES),
        dict(model_type="prophetnet", hidden_size=32, **PROPHETNET),
    ],
    ids=lambda config: config["model_type"],
)
def test_logits_are_no_attention(config):
    """Of which random weights make some that look like probabilities."""
    for seed in range(10):
        torch.manual_seed(seed)
        with pytest.raises(UserError, match=r"no attention probabilities\nCheck its config\.json.*max_length"):
            TextEncoder(config=dict(vocab_size=60, **config), max_length=16)


def test_what_trains_on_one_length_only():
    config = dict(model_type="reformer", vocab_size=50, hidden_size=64, attn_layers=["local"], feed_forward_size=64)
    config |= dict(num_attention_heads=2, attention_head_size=32, axial_pos_embds_dim=[32, 32])
    with pytest.raises(UserError, match=r"'reformer'.*trains with reports of one length only.*\nTake"):
        TextEncoder(config=config, max_length=LENGTH)


@pytest.mark.parametrize("name", ["bert", "distilbert", "t5", "gpt2"])
@pytest.mark.parametrize("rows", ["zero", "mean"])
def test_equal_rows_at_the_end_of_the_vocabulary_do_not_make_a_model_causal(name, rows, tmp_path):
    """A vocabulary that was made larger."""
    sizes = FAMILIES[name][0] | (dict(chunk_size_feed_forward=1) if name == "bert" else {})  # not packed, hence tried
    model = AutoModel.from_config(AutoConfig.for_model(name, vocab_size=300, **sizes))
    words = model.get_input_embeddings().weight.data
    words[290:] = words[:290].mean(dim=0) if rows == "mean" else 0
    model.save_pretrained(tmp_path)
    assert TextEncoder(str(tmp_path), max_length=LENGTH).is_causal == (name in CAUSAL)


def test_positions_that_marian_makes_and_does_not_save(tmp_path):
    config = AutoConfig.for_model(
        "marian", vocab_size=50, pad_token_id=0, decoder_start_token_id=0, max_position_embeddings=64, **BART
    )
    whole = transformers.MarianMTModel(config).eval()
    whole.save_pretrained(tmp_path)
    ids = torch.randint(50, (2, 8))
    features = TextEncoder(str(tmp_path), max_length=LENGTH).eval()(ids, torch.ones_like(ids), torch.zeros_like(ids))
    torch.testing.assert_close(features.global_feature, whole.get_encoder()(ids).last_hidden_state[:, 0])
    for count, message in ((10**5, "no weight has that shape"), (10**9, "far larger")):
        config.max_position_embeddings = count
        config.save_pretrained(tmp_path)
        with bounded(200 * 2**20), in_time(), pytest.raises(UserError, match=message):
            TextEncoder(str(tmp_path), max_length=LENGTH)


def test_tokenizers_that_cannot_be_used(tmp_path):
    PreTrainedTokenizerFast(tokenizer_object=unigram(["<unk>"]), unk_token="<unk>").save_pretrained(tmp_path / "a")
    with pytest.raises(UserError, match=r"no token for the beginning.*\n.*cls_token"):
        load_tokenizer(str(tmp_path / "a"))
    whole = Tokenizer(models.WordLevel({"<s>": 0, "<unk>": 1, "a": 2}, unk_token="<unk>"))
    whole.pre_tokenizer = pre_tokenizers.Split("x", "isolated")
    whole.normalizer = normalizers.Replace(" ", "")
    PreTrainedTokenizerFast(tokenizer_object=whole, bos_token="<s>", unk_token="<unk>").save_pretrained(tmp_path / "b")
    with pytest.raises(UserError, match=r"of one word.*\n.*pre_tokenizer"):
        load_tokenizer(str(tmp_path / "b"))


@pytest.mark.parametrize(("pattern", "count"), [(" ", 3), (Regex("."), 11)], ids=["spaces", "letters"])
def test_spaces_and_letters_are_no_words(pattern, count, tmp_path):
    letters = Tokenizer(models.WordLevel({piece: row for row, piece in enumerate(["<s>", "<unk>", *" noefusi"])}))
    letters.model.unk_token = "<unk>"
    letters.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    PreTrainedTokenizerFast(tokenizer_object=letters, bos_token="<s>", unk_token="<unk>").save_pretrained(tmp_path)
    with pytest.raises(UserError, match=rf"of one word: it makes {count} of.*\n.*pre_tokenizer"):
        load_tokenizer(str(tmp_path))
    content = json.loads((tmp_path / "tokenizer.json").read_text())  # the remedy
    content["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert load_tokenizer(str(tmp_path))("no effusion").word_ids() == [None, 0, 1, None]
