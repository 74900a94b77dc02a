"""Files of other projects' image encoders, made from the models that their code builds: the same features."""

from functools import partial

import open_clip
import pytest
import timm
import torch
import torchvision
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import BlipVisionConfig, BlipVisionModel, Dinov2Config, Dinov2Model, SwinConfig, SwinModel

from mgca_mm.checkpoints.conversion.extract import extract_backbone
from mgca_mm.checkpoints.conversion.image_encoders import SOURCES, convert_image_encoder
from mgca_mm.checkpoints.conversion.preprocessing import CLIP, IMAGENET, of_unit
from mgca_mm.checkpoints.schemes import load_checkpoint
from mgca_mm.engine import install
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.command_line import call
from tests.conftest import ROOT

install()

DIMS, HEADS = 128, 2  # 64 channels a head, as all published ones


def resnet(sequential=False):
    """torchvision's, and a function of images: its last map averaged."""
    model = torchvision.models.resnet18(weights=None)
    if sequential:  # MedKLIP's: children before the fourth stage
        model = nn.Sequential(*list(model.children())[:-3])
        return model, lambda image: model(image).mean(dim=(2, 3))
    pooled = nn.Sequential(*list(model.children())[:-1], nn.Flatten())
    return model, pooled


def vit(**settings):
    """timm's, which MAE, MRM and DINOv2's own names follow, and its [CLS]."""
    settings = dict(img_size=64, patch_size=16, num_classes=0) | settings
    model = VisionTransformer(embed_dim=DIMS, depth=2, num_heads=HEADS, mlp_ratio=2, **settings)
    return model, lambda image: model.forward_features(image)[:, 0]


def dinov2():
    sizes = dict(hidden_size=DIMS, num_hidden_layers=2, num_attention_heads=HEADS, mlp_ratio=2)
    model = Dinov2Model(Dinov2Config(**sizes, image_size=56, patch_size=14))
    return model, lambda image: model(image).last_hidden_state[:, 0]


def blip():
    sizes = dict(hidden_size=DIMS, intermediate_size=256, num_hidden_layers=2, num_attention_heads=HEADS)
    model = BlipVisionModel(BlipVisionConfig(**sizes, image_size=64, layer_norm_eps=1e-6))
    return model, lambda image: model(image).last_hidden_state[:, 0]


def swin():
    model = SwinModel(SwinConfig(image_size=128, embed_dim=24, depths=[1, 2, 2], num_heads=[1, 2, 3], window_size=4))
    return model, lambda image: model(image).pooler_output


def clip():
    """OpenAI's names and activation."""
    model = open_clip.transformer.VisionTransformer(
        64, 16, DIMS, layers=2, heads=HEADS, mlp_ratio=2, output_dim=8, act_layer=open_clip.model.QuickGELU
    )
    return model, lambda image: model.ln_post(model.transformer(model._embeds(image)))[:, 0]


JAX = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings",
    "blocks.": "encoder.layer.",
    "norm1.": "attention_norm.",
    "norm2.": "ffn_norm.",
    "mlp.": "ffn.",
    "attn.proj.": "attn.out.",
}


def jax_names(weights):
    """timm's names → those of REFERS, whose queries, keys and values are apart."""
    renamed = {}
    for name, tensor in weights.items():
        name = name.replace("norm.", "encoder.encoder_norm.") if name.startswith("norm.") else name
        for timms, theirs in JAX.items():
            name = name.replace(timms, theirs)
        parts = dict(zip(("query", "key", "value"), tensor.chunk(3), strict=True)) if ".qkv." in name else {"": tensor}
        renamed |= {name.replace("qkv", part): value for part, value in parts.items()}
    return renamed


def dinov2_own_names(weights):
    return weights | {"mask_token": torch.zeros(1, DIMS)}


ELSE = {"text_encoder.x": torch.zeros(2), "logit_scale": torch.tensor(1.0)}
MAE = {"decoder_embed.weight": torch.zeros(2), "mask_token": torch.zeros(1), "bert_mlp.weight": torch.zeros(2)}
# Project, prefix of its names, model, what else the file holds, change of names.
FILES = {
    "blip": ("blip", "visual_encoder.", vit, {"text_decoder.x": torch.zeros(1)}, None),
    "blip of transformers": ("blip", "vision_model.", blip, ELSE, None),
    "convirt": ("convirt", "visual.model.", resnet, ELSE, None),
    "medclip resnet": ("medclip", "vision_model.model.", resnet, ELSE, None),
    "medclip swin": ("medclip", "vision_model.model.", swin, ELSE, None),
    "medklip": ("medklip", "module.res_features.", partial(resnet, sequential=True), ELSE, None),
    "m-flag": ("m-flag", "encoder.", resnet, ELSE | {"lm_model.encoder.x": torch.zeros(1)}, None),
    "mrm": ("mrm", "", vit, MAE, None),
    "mrm of benchx": ("mrm", "vision_encoder.visual.", vit, ELSE, None),
    "refers": ("refers", "transformer.", vit, {"head.weight": torch.zeros(2)}, jax_names),
    "refers of benchx": ("refers", "visual.vit.", vit, ELSE, jax_names),
    "ptunifier": ("ptunifier", "vision_encoder.visual.", clip, ELSE, None),
    "ptunifier of benchx": ("ptunifier", "", clip, {}, None),
    "cxr-clip resnet": ("cxr-clip", "image_encoder.resnet.", resnet, ELSE, None),
    "cxr-clip swin": ("cxr-clip", "image_encoder.image_encoder.", swin, ELSE, None),
    "biovil": ("biovil", "encoder.encoder.", resnet, {"projector.model.0.weight": torch.zeros(2)}, None),
    "biovil-t": ("biovil-t", "encoder.encoder.", resnet, {"encoder.backbone_to_vit.weight": torch.zeros(2)}, None),
    "rad-dino": ("rad-dino", "", dinov2, {}, None),
    "rad-dino of dinov2": (
        "rad-dino",
        "",
        partial(vit, img_size=56, patch_size=14, init_values=1),
        {},
        dinov2_own_names,
    ),
}
# What the weights do not tell, and a config says.
CLASSES = {
    "swin": dict(
        type="mmpretrain.SwinTransformer",
        arch=dict(embed_dims=24, depths=[1, 2, 2], num_heads=[1, 2, 3]),
        window_size=4,
        img_size=128,
        out_indices=(2,),
    ),
    "ptunifier": dict(
        type="mmpretrain.VisionTransformer",
        arch=dict(embed_dims=DIMS, num_layers=2, num_heads=HEADS, feedforward_channels=256),
        img_size=64,
        pre_norm=True,
        norm_cfg=dict(type="LN", eps=1e-5),
        layer_cfgs=dict(act_cfg=dict(type="mmpretrain.QuickGELU")),
    ),
}


def unlike_initialization(model):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = 0.05 * torch.randn(tensor.shape, generator=generator)
            tensor.add_(noise.abs() if name.endswith("running_var") else noise)
    return model.eval()


def make(case):
    """A file's state dict, and its image encoder as a function of images."""
    _, prefix, build, others, change = FILES[case]
    model, features = build()
    weights = unlike_initialization(model).state_dict()
    weights = change(weights) if change else weights
    return {prefix + name: tensor.clone() for name, tensor in weights.items()} | others, features


def test_every_project_is_tried():
    assert {project for project, *_ in FILES.values()} == set(SOURCES)


@pytest.mark.parametrize("case", FILES)
@torch.no_grad()
def test_features_are_those_of_the_source(case, tmp_path):
    state_dict, features = make(case)
    converted = convert_image_encoder(FILES[case][0], state_dict)
    assert sorted([theirs for theirs, _ in converted.mapped] + converted.unused) == sorted(state_dict)
    file = str(tmp_path / "converted.pth")
    torch.save({"state_dict": converted.state_dict}, file)
    kind = next((kind for kind in CLASSES if kind in case), None)
    if kind:
        backbone = MODELS.build({**CLASSES[kind], "init_cfg": dict(type="Pretrained", checkpoint=file)})
        backbone.init_weights()
    else:
        backbone = MODELS.build(dict(type="PretrainedBackbone", checkpoint=file))
    backbone.eval()
    size = 128 if "swin" in case else 56 if "dino" in case else 64
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    found = backbone(image)[-1]
    found = found if found.dim() == 2 else found.mean(dim=(2, 3))
    expected = features(image)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", FILES)
def test_truncated(case):
    state_dict, _ = make(case)
    project = FILES[case][0]
    converted = convert_image_encoder(project, state_dict)
    used = [theirs for theirs, _ in converted.mapped if not theirs.endswith("num_batches_tracked")]
    for lost in (used[0], used[len(used) // 2], used[-1]):
        with pytest.raises(UserError) as error:
            convert_image_encoder(project, {name: tensor for name, tensor in state_dict.items() if name != lost})
        assert len(str(error.value).splitlines()) == 2, lost
    with pytest.raises(UserError, match=r"unknown names|not known"):
        convert_image_encoder(project, state_dict | {used[-1].rpartition(".")[0] + ".extra": torch.zeros(1)})


@pytest.mark.parametrize("project", SOURCES)
def test_another_project(project):
    with pytest.raises(UserError, match=f"Not a checkpoint of {project}"):
        convert_image_encoder(project, {"generator.x": torch.zeros(1)})


def test_a_resnet_without_its_last_stage_is_only_that_of_medklip():
    state_dict, _ = make("convirt")
    with pytest.raises(UserError, match="3 stages of 4"):
        convert_image_encoder("convirt", {name: t for name, t in state_dict.items() if "layer4" not in name})


def test_registers_are_not_left_out():
    model, _ = vit(img_size=56, patch_size=14, init_values=1, reg_tokens=4)
    with pytest.raises(UserError, match="1 unknown names, the first is 'reg_token'"):
        convert_image_encoder("rad-dino", model.state_dict())


@pytest.mark.parametrize(
    ("project", "case", "what"),
    [
        ("rad-dino", "mrm", "no layer scale"),
        ("mrm", "rad-dino of dinov2", "has layer scale"),
        ("blip", "rad-dino of dinov2", "has layer scale"),
    ],
)
def test_layer_scale_tells_projects_apart(project, case, what):
    state_dict, _ = make(case)
    state_dict.pop("mask_token", None)
    prefix = "visual_encoder." if project == "blip" else ""
    state_dict = {prefix + name: tensor for name, tensor in state_dict.items() if name not in {*MAE, *ELSE}}
    with pytest.raises(UserError, match=f"Not a checkpoint of {project}: .* {what}"):
        convert_image_encoder(project, state_dict)


@torch.no_grad()
def test_maps_of_three_stages(tmp_path):
    state_dict, features = make("medklip")
    torch.save({"state_dict": convert_image_encoder("medklip", state_dict).state_dict}, tmp_path / "medklip.pth")
    build = partial(
        MODELS.build, default_args=dict(type="PretrainedBackbone", checkpoint=str(tmp_path / "medklip.pth"))
    )
    backbone = build(dict(strides=(2, 8, 16), frozen=True))
    backbone.train()
    image = torch.randn(2, 3, 64, 64)
    maps = backbone(image)
    assert [64 // feature.shape[-1] for feature in maps] == [2, 8, 16] and backbone.out_channels == (64, 128, 256)
    torch.testing.assert_close(maps[-1].mean(dim=(2, 3)), features(image))
    with pytest.raises(UserError, match="strides 4, 8, 16, and before these 2, ascending"):
        build(dict(strides=(8, 16, 32)))


def test_extract_what_was_converted(tmp_path):
    """DINOv2's layer scale for timm, which has it; a format that has not says so."""
    weights = convert_image_encoder("rad-dino", make("rad-dino")[0]).state_dict
    assert extract_backbone(weights, tmp_path / "timm.pth", "timm") < 1e-5
    three_stages = convert_image_encoder("medklip", make("medklip")[0]).state_dict
    assert extract_backbone(three_stages, tmp_path / "medklip.pth", "mmengine") < 1e-5
    for state_dict, format in ((weights, "torchvision"), (weights, "huggingface"), (three_stages, "timm")):
        with pytest.raises(UserError, match="Formats mmengine and safetensors"):
            extract_backbone(state_dict, tmp_path / "x", format)


def test_the_clip_encoder_names_its_class(tmp_path):
    torch.save({"state_dict": convert_image_encoder("ptunifier", make("ptunifier")[0]).state_dict}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="name its class"):
        MODELS.build(dict(type="PretrainedBackbone", checkpoint=str(tmp_path / "x.pth")))


def test_names_of_timm_with_layer_scale(tmp_path):
    """Files that need no conversion."""
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=56)
    torch.save(unlike_initialization(model).state_dict(), tmp_path / "timm.pth")
    backbone = MODELS.build(dict(type="PretrainedBackbone", checkpoint=str(tmp_path / "timm.pth")))
    backbone.eval()
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image)[-1], model.forward_features(image)[:, 0], rtol=1e-5, atol=1e-5)


def test_command_line(tmp_path):
    """As CXR-CLIP's trainer writes it: the config beside the weights."""
    state_dict, _ = make("cxr-clip resnet")
    content = {"model": state_dict, "config": {"model": {"name": "clip_custom"}}, "epoch": 15, "train_loss": 0.5}
    torch.save(content, tmp_path / "r50.tar")
    done = call("convert", "from-cxr-clip", tmp_path / "r50.tar", tmp_path / "ours.pth")
    assert done.returncode == 0, done.stderr
    assert "image_encoder.resnet.conv1.weight → backbone.conv1.weight" in done.stdout
    for line in ("left out: text_encoder.x", "120 tensors mapped, 4 left out, 0 missing"):
        assert line in done.stdout
    meta = load_checkpoint(str(tmp_path / "ours.pth"))["meta"]
    assert meta["converted_by"] == "from-cxr-clip" and meta["image_size"] == 224
    assert meta["data_preprocessor"]["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert meta["data_preprocessor"]["std"] == pytest.approx([58.395, 57.12, 57.375])
    done = call("convert", "from-biovil", tmp_path / "r50.tar", tmp_path / "x.pth")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 2 and not (tmp_path / "x.pth").exists()


def test_the_page_tells_the_preprocessing():
    """Each project's row of docs/model_zoo.md has the numbers that its files are given."""
    rows = [line for line in (ROOT / "docs/model_zoo.md").read_text().splitlines() if line.startswith("| ")]
    named = {"ImageNet": of_unit(*IMAGENET, 0), "CLIP": of_unit(*CLIP, 0)}
    for project, sources in SOURCES.items():
        first = next(index for index, row in enumerate(rows) if f"`from-{project}`" in row)
        for row, source in zip(rows[first:], sources, strict=False):
            _, _, _, _, _, size, levels, *_ = (cell.strip() for cell in row.split("|"))
            found = named.get(levels) or of_unit(*map(float, levels.split(" / ")), 0)
            assert int(size) == source.preprocessing.image_size, project
            for numbers, wanted in zip(found[:2], source.preprocessing[:2], strict=True):
                assert numbers == pytest.approx(wanted, abs=0.02), project
