"""Small inputs shared by the tests."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"  # real files that are not part of the repository


def needs_shared(path):
    """Mark of a test that reads a file or folder of :data:`SHARED`."""
    return pytest.mark.skipif(not (SHARED / path).exists(), reason=f"../shared/{path} is absent")


LAYOUT_OF = {
    "chexpert": "chexpert",
    "rsna": "rsna_pneumonia",
    "covidx": "covidx",
    "object": "object_cxr",
    "siim": "siim_pneumothorax",
    "covid": "covid_chestxray",
    "nih": "nih_chestxray14",
    "vindr": "vindr_cxr",
    "shenzhen": "shenzhen",
    "montgomery": "montgomery",
    "custom": "covid_chestxray",
}

SMALL_MODEL = dict(
    type="mgca_mm.ImageReportPretrainer",
    image_encoder=dict(
        type="mgca_mm.ImageEncoder",
        input_size=32,
        backbone=dict(
            type="mmpretrain.VisionTransformer",
            arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64),
            img_size=32,
            patch_size=8,
            out_type="raw",
        ),
    ),
    text_encoder=dict(
        type="mgca_mm.TextEncoder",
        max_length=16,
        config=dict(
            model_type="bert",
            vocab_size=60,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
    ),
    projector=dict(type="mgca_mm.Projector", hidden_channels=32, out_channels=16),
    alignments=dict(
        ita=dict(type="mgca_mm.InstanceAlignment"),
        cta=dict(type="mgca_mm.TokenAlignment", attention=dict(type="mgca_mm.CrossModalAttention", embed_dims=16)),
        cpa=dict(type="mgca_mm.PrototypeAlignment", num_prototypes=10, embed_dims=16),
    ),
)

# Shown at 64 x 64, seen at 32 x 32.
MASKED_MODEL = dict(
    type="mgca_mm.MaskedRecordModel",
    data_preprocessor=dict(type="mgca_mm.MaskedRecordDataPreprocessor"),
    image_encoder=dict(SMALL_MODEL["image_encoder"], resize_to=32, input_size=64),
    image_decoder=dict(
        type="mmpretrain.MAEPretrainDecoder",
        patch_size=16,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
    ),
    report_decoder=dict(SMALL_MODEL["text_encoder"]["config"], max_position_embeddings=16),
)


def small_batch(size=4, seed=0, image_size=32, max_length=16, vocab_size=60):
    """Inputs of the model: images and reports of uneven length."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, max_length + 1, (size,), generator=generator)
    mask = torch.arange(max_length) < lengths[:, None]
    continuation = (torch.rand(size, max_length, generator=generator) < 0.3) & mask
    continuation[:, :2] = False
    continuation[torch.arange(size), lengths - 1] = False
    ids = torch.randint(5, vocab_size, mask.shape, generator=generator).masked_fill(~mask, 0)
    image = torch.randn(size, 3, image_size, image_size, generator=generator)
    # Sentences that name a location; the first report has none.
    located = torch.arange(8) < torch.randint(3, 9, (size, 1), generator=generator) * (torch.arange(size)[:, None] > 0)
    return dict(
        image=image,
        input_ids=ids,
        attention_mask=mask.long(),
        is_continuation=continuation,
        location_ids=torch.randint(5, vocab_size, located.shape, generator=generator),
        location_mask=located.long(),
        image_labels=torch.randint(-1, 2, (size, 5), generator=generator).float(),
        report_labels=torch.randint(-1, 2, (size, 5), generator=generator).float(),  # as of a report of another
    )


@pytest.fixture(autouse=True)
def scope():
    """Every test starts in our scope and with the same random numbers."""
    init_default_scope("mgca_mm")
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A small phantom, prepared, with a text encoder of its vocabulary beside it."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from mgca_mm.phantom.layouts import PhantomOptions, write_mimic_cxr
    from mgca_mm.preparation import Options, prepare

    root = tmp_path_factory.mktemp("phantom")
    write_mimic_cxr(root / "raw", PhantomOptions(patients=16, seed=3, split=(0.5, 0.25, 0.25)), progress=False)
    prepare("mimic_cxr", root / "raw", root / "data", Options(image_size=128, vocab_size=1000))
    # Four layers, because GLoRIA sums four.
    text = dict(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64, vocab_size=1000)
    AutoModel.from_config(AutoConfig.for_model("bert", **text)).save_pretrained(root / "text_model")
    AutoTokenizer.from_pretrained(root / "data" / "tokenizer").save_pretrained(root / "text_model")
    return root


@pytest.fixture(scope="session")
def labeled(tmp_path_factory):
    """Prepared folder of a small phantom for a downstream config."""
    from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
    from mgca_mm.preparation import Options, prepare

    root = tmp_path_factory.mktemp("downstream")

    def folder_of(config):
        small = config.parent.name == "quickstart"
        name, size = LAYOUT_OF[config.stem.split("_")[small]], 128 if small else 256
        raw, out = root / "raw" / name, root / str(size) / name
        if not out.exists():
            patients = 50 if name == "covid_chestxray" else 14
            LAYOUTS[name](raw, PhantomOptions(patients, seed=16, size=96), progress=False)
            prepare(name, raw, out, Options(image_size=size))
        return out

    return folder_of
