import json

import pytest
import torch
from torch.nn.functional import pad
from transformers import AutoConfig, AutoModel

from mgca_mm.errors import UserError
from mgca_mm.models import ReleasedWordMerging, TextEncoder, WordMerging
from mgca_mm.models.data_preprocessor import ImageReportDataPreprocessor
from mgca_mm.reports.tokenizer import load_tokenizer
from tests.conftest import SHARED, needs_shared
from tests.test_faults import poisons
from tests.test_fuzz.cases import bounded, in_time

from . import references

SMALL = dict(vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64)
CONFIGS = {
    "bert": dict(model_type="bert", **SMALL),
    "roberta": dict(model_type="roberta", max_position_embeddings=128, **SMALL),
    "electra": dict(model_type="electra", embedding_size=16, **SMALL),
    "distilbert": dict(model_type="distilbert", vocab_size=50, dim=32, n_layers=3, n_heads=4, hidden_dim=64),
    "roformer": dict(model_type="roformer", embedding_size=32, **SMALL),
    "mpnet": dict(model_type="mpnet", max_position_embeddings=128, **SMALL),
    "deberta-v2": dict(model_type="deberta-v2", relative_attention=True, pos_att_type=["p2c", "c2p"], **SMALL),
    "modernbert": dict(model_type="modernbert", pad_token_id=0, reference_compile=False, **SMALL),
}


def batch(lengths=(12, 5, 3), size=12):
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(size) < torch.tensor(lengths)[:, None]
    ids = torch.randint(4, 50, mask.shape, generator=generator).masked_fill(~mask, 0)
    continuation = (torch.rand(mask.shape, generator=generator) < 0.4) & mask
    continuation[:, :2] = False  # [CLS] and the first piece of the first word
    for row, length in enumerate(lengths):
        continuation[row, length - 1] = False  # [SEP]
    return ids, mask.long(), continuation


@pytest.mark.parametrize("name", CONFIGS)
def test_any_text_encoder(name):
    encoder = TextEncoder(config=CONFIGS[name]).eval()
    ids, mask, continuation = batch()
    features = encoder(ids, mask, continuation)
    channels = encoder.global_channels
    assert features.global_feature.shape == (3, channels)
    assert features.tokens.shape == (3, 11, channels)
    num_words = [int(((~continuation) & mask.bool())[row].sum()) - 1 for row in range(3)]
    assert features.token_mask.sum(1).tolist() == num_words
    assert (features.token_weight[~features.token_mask] == 0).all()
    assert (features.token_weight[features.token_mask] > 0).all()
    assert not features.token_weight.requires_grad


@pytest.mark.parametrize("name", ["bert", "distilbert"])
@pytest.mark.parametrize(("pooling", "num_layers"), [("cls", 2), ("mean", 1), ("mean", 3), ("max", 1)])
def test_pooling_and_summed_layers(name, pooling, num_layers):
    """Global feature and words of the summed layers, over the real pieces only; report by report."""
    encoder = TextEncoder(config=CONFIGS[name], pooling=pooling, num_summed_layers=num_layers).eval()
    ids, mask, continuation = batch()
    features = encoder(ids, mask, continuation)
    for row, length in enumerate(mask.sum(1)):
        one = slice(row, row + 1)
        output = encoder.model(ids[one, :length], mask[one, :length], output_hidden_states=True)
        pieces = sum(output.hidden_states[layer][0] for layer in range(-num_layers, 0))
        expected = {"cls": pieces[0], "mean": pieces.mean(0), "max": pieces.max(0).values}[pooling]
        torch.testing.assert_close(features.global_feature[row], expected)
        words, _, _ = references.merge_word_pieces(
            pieces, torch.zeros(length), mask[row, :length], continuation[row, :length]
        )
        torch.testing.assert_close(features.tokens[row, : length - 1], words)


def test_impossible_pooling_and_layers():
    with pytest.raises(ValueError, match="pooling"):
        TextEncoder(config=CONFIGS["bert"], pooling="sum")
    with pytest.raises(ValueError, match="1 to 3"):
        TextEncoder(config=CONFIGS["bert"], num_summed_layers=4)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_cls_row_equals_the_full_map(name):
    encoder = TextEncoder(config=CONFIGS[name]).eval()
    assert encoder.cls_attention is not None
    ids, mask, continuation = batch()
    encoder(ids, mask, continuation)  # the hook has kept its input
    encoder.model(input_ids=ids, attention_mask=mask)
    row = encoder.cls_attention.pop(mask.bool())
    encoder.model.set_attn_implementation("eager")
    full = encoder.model(input_ids=ids, attention_mask=mask, output_attentions=True).attentions[-1]
    assert (row - full[:, :, 0].mean(1)).abs().max() < 1e-6


def test_released_text_encoder_keeps_the_first_layers_only():
    encoder = TextEncoder(config=CONFIGS["bert"], num_hidden_layers=2)
    assert len(encoder.model.encoder.layer) == 2


def test_pretrained_folder(tmp_path):
    model = AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"]))
    model.save_pretrained(tmp_path)
    encoder = TextEncoder(pretrained=str(tmp_path), num_hidden_layers=2)
    encoder.init_weights()  # as the runner does: must not draw the weights anew
    assert len(encoder.model.encoder.layer) == 2
    torch.testing.assert_close(
        encoder.model.encoder.layer[1].output.dense.weight, model.encoder.layer[1].output.dense.weight
    )


def test_missing_model_names_the_local_alternative(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no waiting for a network
    monkeypatch.setattr("transformers.utils.hub._is_offline_mode", True)
    with pytest.raises(UserError, match=r"model\.text_encoder\.pretrained"):
        TextEncoder(pretrained="nobody/no-such-model")
    with pytest.raises(UserError, match=r"config\.json"):
        TextEncoder(pretrained=str(tmp_path))


def test_a_hub_out_of_reach_is_asked_once(monkeypatch):
    """One message, at once: the hub's own client would ask each file six times, and print it."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.file_download.http_backoff", lambda *_, **__: pytest.fail("asked again"))
    with pytest.raises(UserError, match=r"nobody/no-such-model.*couldn't connect(.|\n)*text_model=DIR"):
        TextEncoder(pretrained="nobody/no-such-model")


def test_a_cached_model_needs_no_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("transformers.utils.hub.TRANSFORMERS_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--some--bert" / "snapshots" / ("a" * 40)
    AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"])).save_pretrained(snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    assert TextEncoder(pretrained="some/bert").model is not None


def test_incomplete_and_damaged_folders(tmp_path):
    model = AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"]))
    partial = {k: v for k, v in model.state_dict().items() if "layer.1" not in k}
    model.save_pretrained(tmp_path, state_dict=partial)
    with pytest.raises(UserError, match=r"only a part.*encoder\.layer\.1"):
        TextEncoder(pretrained=str(tmp_path))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        TextEncoder(pretrained=str(tmp_path))


BERT_FOLDER = dict(model_type="bert", tokenizer_class="BertTokenizer")


@pytest.mark.parametrize(
    ("config", "tokenizer_config"),
    [
        (dict(model_type="cxr-bert", auto_map={"AutoConfig": "code.C", "AutoModel": "code.M"}), {}),
        (dict(model_type="cxr-bert"), {}),
        ({}, dict(tokenizer_class="CXRBertTokenizer", auto_map={"AutoTokenizer": ["code.T", None]})),
        ({}, dict(tokenizer_class="CXRBertTokenizer")),
    ],
)
def test_a_folder_that_needs_code_of_its_own(tmp_path, config, tokenizer_config):
    """CXR-BERT and its like: a BERT for masked words under another name, whose remedy is tried in the end."""
    model = AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"]))
    torch.save({f"bert.{k}": v for k, v in model.state_dict().items()}, tmp_path / "pytorch_model.bin")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion"]))
    parts = {"config.json": (model.config.to_dict(), config), "tokenizer_config.json": ({}, tokenizer_config)}
    for name, (theirs, changes) in parts.items():
        (tmp_path / name).write_text(json.dumps({**theirs, **BERT_FOLDER, **changes}))
    load = load_tokenizer if tokenizer_config else lambda folder: TextEncoder(pretrained=folder)
    with pytest.raises(UserError, match=r"needs code of its own[^.]*\.\n.*auto_map.*'bert'.*'BertTokenizer'") as error:
        load(str(tmp_path))
    assert str(tmp_path) in str(error.value) and len(str(error.value).splitlines()) <= 3

    for name in parts:
        settings = json.loads((tmp_path / name).read_text())
        settings.pop("auto_map", None)
        (tmp_path / name).write_text(json.dumps({**settings, **BERT_FOLDER}))
    assert load_tokenizer(str(tmp_path)).tokenize("no effusion") == ["no", "effusion"]
    loaded = TextEncoder(pretrained=str(tmp_path)).model.state_dict()
    assert all(tensor.equal(model.state_dict()[name]) for name, tensor in loaded.items())


@needs_shared("failing_inputs")
def test_the_folder_of_cxr_bert_from_the_field():
    folder = str(SHARED / "failing_inputs/17-cxr-bert-folder/cxrbert")
    for load in (load_tokenizer, lambda name: TextEncoder(pretrained=name)):
        with pytest.raises(UserError, match="needs code of its own"):
            load(folder)


@pytest.fixture
def folder(tmp_path):
    AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"])).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**9}, "far larger"),
        ({"vocab_size": 10**9}, "far larger"),
        ({"max_position_embeddings": 10**6}, "no weight has that shape|far larger"),
        ({"intermediate_size": 65}, "no weight has that shape"),
        ({"hidden_size": float("nan")}, "could not be loaded"),
        ({"vocab_size": -5}, "could not be loaded"),
        ({"num_hidden_layers": 0}, "without layers"),
        ({"num_attention_heads": 0}, "could not be loaded"),
        ({"num_attention_heads": -4}, "does not take a report"),
        ({"layer_norm_eps": "x"}, "does not take a report"),
        ({"layer_norm_eps": float("nan")}, "no finite features"),
        ({"model_type": "detr"}, "an encoder of text"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantized"),
    ],
)
def test_a_config_of_another_model(folder, changes, message):
    change(folder / "config.json", **changes)
    with bounded(200 * 2**20), in_time(), pytest.raises(UserError, match=message) as error:
        TextEncoder(pretrained=str(folder))
    assert len(str(error.value).splitlines()) <= 3


def test_what_names_other_files_and_heads_is_not_followed(folder):
    change(folder / "config.json", num_labels=10**9, transformers_weights="/etc/x.safetensors")
    change(folder / "config.json", configuration_files=["../config.4.0.0.json"], attn_implementation="some/kernel")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/nowhere"}')
    with bounded(200 * 2**20), in_time():
        TextEncoder(pretrained=str(folder))


def test_more_pieces_than_the_model_has_positions(folder):
    with pytest.raises(UserError, match=r"600 pieces.*\n.*max_length"):
        TextEncoder(pretrained=str(folder), max_length=600)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "torch"])
def test_shards(folder, tmp_path, safe):
    """Weights in several files, each beside the index: what an index names elsewhere is not opened."""
    shards = tmp_path / "shards"
    whole = TextEncoder(pretrained=str(folder)).model
    whole.save_pretrained(shards, max_shard_size="20KB", safe_serialization=safe)
    index = next(shards.glob("*.index.json"))
    loaded = TextEncoder(pretrained=str(shards)).model.state_dict()
    assert all(loaded[name].equal(tensor) for name, tensor in whole.state_dict().items())
    content = json.loads(index.read_text())
    first = next(iter(content["weight_map"].values()))
    (tmp_path / first).write_bytes((shards / first).read_bytes())
    for name in (f"../{first}", str(tmp_path / first), "config.json", "", None, 3, f"x{first}"):
        weight_map = {key: name if file == first else file for key, file in content["weight_map"].items()}
        index.write_text(json.dumps({**content, "weight_map": weight_map}))
        with pytest.raises(UserError, match=r"weight_map must name|is not there"):
            TextEncoder(pretrained=str(shards))


def test_a_poisoned_shard(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    mark = tmp_path / "mark"
    poisons.bare_pickle(folder / "part.bin", mark)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "part.bin"}}))
    with pytest.raises(UserError, match="refused"):
        TextEncoder(pretrained=str(folder))
    assert not mark.exists()


def test_links_as_in_the_cache_of_the_hub(folder, tmp_path):
    snapshot = tmp_path / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        (snapshot / file.name).symlink_to(f"../../{file.parent.name}/{file.name}")
    TextEncoder(pretrained=str(snapshot))


def test_frozen():
    """It is as in evaluation, whatever the model does, and no optimizer keeps or changes anything of it."""
    encoder = TextEncoder(config=dict(CONFIGS["bert"], hidden_dropout_prob=0.5), frozen=True, max_length=12)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    head = torch.nn.Linear(encoder.global_channels, 1)
    whole = torch.nn.ModuleList([encoder, head]).train()
    assert whole.training and not any(module.training for module in encoder.modules())
    feature = encoder(*batch()).global_feature
    assert not feature.requires_grad and feature.equal(encoder(*batch()).global_feature)
    optimizer = torch.optim.AdamW(whole.parameters(), lr=1.0, weight_decay=1.0)
    head(feature).sum().backward()
    optimizer.step()
    assert optimizer.state.keys() == set(head.parameters())
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())


def test_pretrained_or_config():
    with pytest.raises(ValueError, match="either"):
        TextEncoder()


def test_too_long_input_is_refused():
    with pytest.raises(ValueError, match="max_length"):
        TextEncoder(config=CONFIGS["bert"], max_length=8)(*batch())


def test_every_parameter_gets_a_gradient():
    encoder = TextEncoder(config=CONFIGS["bert"])
    features = encoder(*batch())
    (features.global_feature.sum() + features.tokens.square().sum()).backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_without_positions_the_order_of_words_is_nothing(name):
    encoder = TextEncoder(config=CONFIGS[name], use_positions=False).eval()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 50, (2, 12), generator=generator)
    order = torch.cat([torch.zeros(1, dtype=torch.long), torch.randperm(11, generator=generator) + 1])
    rest = torch.ones_like(ids), torch.zeros_like(ids, dtype=torch.bool)
    straight, shuffled = encoder(ids, *rest), encoder(ids[:, order], *rest)
    torch.testing.assert_close(shuffled.global_feature, straight.global_feature)
    torch.testing.assert_close(shuffled.tokens, straight.tokens[:, order[1:] - 1])
    (straight.global_feature.square().sum() + straight.tokens.square().sum()).backward()
    gradient = encoder.model.embeddings.position_embeddings.weight.grad
    assert gradient[0].norm() > 0 and not gradient[1:].any()

    ordinary = TextEncoder(config=CONFIGS[name]).eval()
    assert not torch.allclose(ordinary(ids, *rest).tokens[:, order[1:] - 1], ordinary(ids[:, order], *rest).tokens)


class Nothing(torch.nn.Module):
    def forward(self, token_type_ids):
        return 0


def test_without_token_types_a_folder_loads_as_into_a_model_that_has_none(tmp_path):
    model = AutoModel.from_config(AutoConfig.for_model(**CONFIGS["bert"])).eval()
    model.save_pretrained(tmp_path)
    encoder = TextEncoder(pretrained=str(tmp_path), use_token_types=False).eval()
    features = encoder(*batch())
    ids, mask, _ = batch()
    model.embeddings.token_type_embeddings = Nothing()
    expected = model(ids, mask).last_hidden_state[:, 0]
    torch.testing.assert_close(features.global_feature, expected)
    features.global_feature.sum().backward()
    types = encoder.model.embeddings.token_type_embeddings.weight
    assert types.grad is None and not types.any()


@pytest.mark.parametrize("name", ["distilbert", "roformer", "mpnet", "deberta-v2", "modernbert"])
@pytest.mark.parametrize("option", ["use_positions", "use_token_types"])
def test_what_is_no_table_cannot_be_left_out(name, option):
    with pytest.raises(UserError, match=rf"{option}.*Model"):
        TextEncoder(config=CONFIGS[name], **{option: False})


def random_reports(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, size + 1, (count,), generator=generator)
    mask = torch.arange(size) < lengths[:, None]
    continuation = (torch.rand(count, size, generator=generator) < 0.35) & mask
    continuation[:, :2] = False
    continuation[torch.arange(count), lengths - 1] = False
    pieces = torch.randn(count, size, 3, generator=generator, dtype=torch.float64)
    attention = torch.rand(count, size, generator=generator, dtype=torch.float64).masked_fill(~mask, 0)
    return pieces, attention, mask, continuation


def test_word_merging_equals_the_loop_on_10000_reports():
    reports = random_reports(10_000, 24, seed=1)
    words, weights, mask = WordMerging()(*reports)
    for row in range(10_000):
        expected = references.merge_word_pieces(*(x[row] for x in reports))
        torch.testing.assert_close(words[row], expected[0], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(weights[row], expected[1], rtol=1e-10, atol=1e-13)
        assert torch.equal(mask[row], expected[2])


def released_loop(pieces, attention, mask, continuation):
    """The released aggregation as its README tells it, piece by piece, on a report with all its padding.

    Returns:
        Slot 0, which is the report's global feature, and words, weights and mask of the others.
    """
    length = len(pieces)
    separator = int(mask.sum()) - 1
    slots, current, current_weight = [], pieces[0], attention[1]
    for t in range(1, length - 1):  # the last position is never visited
        following = attention[t + 1]
        if t == separator:
            slots += [(current, current_weight), (pieces[t], following)]
            break
        if continuation[t]:
            current, current_weight = current + pieces[t], current_weight + following
        else:
            slots.append((current, current_weight))
            current, current_weight = pieces[t], following
    words = torch.zeros(length - 1, pieces.shape[1], dtype=pieces.dtype)
    weights = torch.zeros(length - 1, dtype=pieces.dtype)
    for slot, (word, weight) in enumerate(slots[1:]):
        words[slot], weights[slot] = word, weight
    return slots[0][0], words, weights, torch.arange(length - 1) < len(slots) - 1


def made_reports(count, size, seed):
    """Reports as no tokenizer makes them: their second piece may continue [CLS]."""
    pieces, attention, mask, continuation = random_reports(count, size, seed)
    continuation[::3, 1] = mask[::3, 2]
    return pieces, attention, mask, continuation


def test_released_word_merging_equals_the_loop():
    reports = made_reports(2_000, 12, seed=2)
    words, weights, mask = ReleasedWordMerging(max_length=12)(*reports)
    assert (reports[2].sum(1) == 12).any(), "some reports must fill all positions"
    for row in range(2_000):
        _, *expected = released_loop(*(x[row] for x in reports))
        torch.testing.assert_close(words[row], expected[0], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(weights[row], expected[1], rtol=1e-10, atol=1e-13)
        assert torch.equal(mask[row], expected[2])


def test_released_separator_is_a_word_whatever_is_said_of_it():
    pieces, attention, mask, continuation = reports = made_reports(200, 12, seed=3)
    said = continuation.clone()
    said[torch.arange(200), mask.sum(1) - 1] = True
    for ours, expected in zip(
        ReleasedWordMerging(max_length=12)(pieces, attention, mask, said),
        ReleasedWordMerging(max_length=12)(*reports),
        strict=True,
    ):
        assert torch.equal(ours, expected)


def released_encoder():
    return TextEncoder(
        config=CONFIGS["bert"], max_length=12, pooling="cls_word", word_merging=dict(type="ReleasedWordMerging")
    ).eval()


def test_released_global_feature_has_the_pieces_that_continue_cls():
    encoder = released_encoder()
    _, _, mask, continuation = made_reports(60, 12, seed=4)
    ids = torch.randint(4, 50, mask.shape)
    features = encoder(ids, mask, continuation)
    pieces = encoder.model(ids, mask).last_hidden_state
    for row in range(60):
        expected = released_loop(pieces[row], torch.zeros(12), mask[row], continuation[row])
        torch.testing.assert_close(features.global_feature[row], expected[0])
        torch.testing.assert_close(features.tokens[row], expected[1])


def test_released_words_do_not_depend_on_where_padding_is_cut():
    """The same report alone, in a batch, with all its padding and in a length bucket."""
    encoder = released_encoder()
    lengths = (12, 11, 7, 3)  # the first has been cut by the tokenizer
    ids, mask, continuation = batch(lengths)
    whole = encoder(ids, mask, continuation)
    cut = ImageReportDataPreprocessor(length_bucket=4)
    for rows in ([0], [1], [2], [3], [1, 2, 3], [2, 3], [0, 3]):
        longest = max(lengths[row] for row in rows)
        reports = dict(input_ids=ids[rows], attention_mask=mask[rows], is_continuation=continuation[rows])
        bucket = cut(dict(inputs=dict(reports, image=torch.zeros(len(rows), 1, 8, 8, dtype=torch.uint8))))["inputs"]
        own = {key: value[:, :longest] for key, value in reports.items()}
        for inputs in (own, {key: bucket[key] for key in reports}):
            features = encoder(**inputs)
            missing = whole.tokens.shape[1] - features.tokens.shape[1]
            torch.testing.assert_close(features.global_feature, whole.global_feature[rows])
            torch.testing.assert_close(pad(features.tokens, (0, 0, 0, missing)), whole.tokens[rows])
            torch.testing.assert_close(pad(features.token_weight, (0, missing)), whole.token_weight[rows])
            assert torch.equal(pad(features.token_mask, (0, missing)), whole.token_mask[rows])


def test_report_without_words_has_sep_only():
    encoder = TextEncoder(config=CONFIGS["bert"]).eval()
    ids, mask = torch.tensor([[1, 2, 0, 0]]), torch.tensor([[1, 1, 0, 0]])
    features = encoder(ids, mask, torch.zeros(1, 4, dtype=torch.bool))
    assert features.token_mask.tolist() == [[True, False, False]]
