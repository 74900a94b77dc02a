"""State dicts with any fault in their structure, through all commands of the converter."""

import shutil
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from transformers import BertConfig, BertModel

from mgca_mm.checkpoints.conversion.extract import FORMATS, extract_backbone
from mgca_mm.checkpoints.conversion.gloria import convert_gloria
from mgca_mm.checkpoints.conversion.image_encoders import convert_image_encoder
from mgca_mm.checkpoints.conversion.released_mgca import convert_released_mgca
from mgca_mm.checkpoints.conversion.renaming import write_torch
from mgca_mm.checkpoints.publish import publish
from mgca_mm.errors import UserError
from mgca_mm.files import replacing_output
from mgca_mm.registry import MODELS
from tests.command_line import call
from tests.test_checkpoints.test_extract import SMALL_VIT
from tests.test_checkpoints.test_image_encoders import make as image_encoder
from tests.test_fuzz.cases import at, bounded, cases, few, in_time, places

BERT = dict(
    vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=1, intermediate_size=64,
    max_position_embeddings=16,
)  # fmt: skip
# A project of each naming scheme → its file in the tests of what it converts to.
CASES = {
    "blip": "blip",
    "cxr-clip": "cxr-clip swin",
    "ptunifier": "ptunifier",
    "rad-dino": "rad-dino",
    "refers": "refers",
}
_TO_TIMM = {
    "patch_embed.projection": "patch_embed.proj",
    "ffn.layers.0.0": "mlp.fc1",
    "ffn.layers.1": "mlp.fc2",
    "layers.": "blocks.",
    ".ln": ".norm",
}


def timm_names(weights):
    """Names of timm, from those of mmpretrain."""
    renamed = {}
    for name, tensor in weights.items():
        for ours, theirs in _TO_TIMM.items():
            name = name.replace(ours, theirs)
        renamed[name.replace("ln1.", "norm.") if name.startswith("ln1.") else name] = tensor
    return renamed


def head(prefix, channels, hidden=24, out=16):
    return {
        f"{prefix}.head.0.weight": torch.randn(hidden, channels),
        f"{prefix}.head.1.weight": torch.randn(hidden),
        f"{prefix}.head.1.running_var": torch.ones(hidden),
        f"{prefix}.head.1.num_batches_tracked": torch.tensor(0),
        f"{prefix}.head.3.weight": torch.randn(out, hidden),
    }


def make():
    torch.manual_seed(0)
    init_default_scope("mgca_mm")
    vit = MODELS.build(SMALL_VIT).state_dict()
    resnet = MODELS.build(dict(type="mmpretrain.ResNet", depth=18)).state_dict()
    bert = BertModel(BertConfig(**BERT), add_pooling_layer=False).state_dict()
    released = {f"img_encoder_q.model.{name}": tensor for name, tensor in timm_names(vit).items()}
    released |= {f"text_encoder_q.model.{name}": tensor for name, tensor in bert.items()}
    released["text_encoder_q.model.embeddings.position_ids"] = torch.arange(16)[None]
    for part in ("img_encoder_q.global_embed", "img_encoder_q.local_embed"):
        released |= head(part, 128)
    for part in ("text_encoder_q.global_embed", "text_encoder_q.local_embed"):
        released |= head(part, 32)
    released["prototype_layer.weight"] = torch.randn(5, 16)
    gloria = {f"gloria.img_encoder.model.{name}": tensor for name, tensor in resnet.items()}
    gloria |= {f"gloria.text_encoder.model.{name}": tensor for name, tensor in bert.items()}
    gloria |= {
        "gloria.img_encoder.global_embedder.weight": torch.randn(32, 512),
        "gloria.img_encoder.global_embedder.bias": torch.randn(32),
        "gloria.img_encoder.local_embedder.weight": torch.randn(32, 256, 1, 1),
    }
    return {
        "from-released-mgca": released,
        "from-gloria": gloria,
        **{f"from-{project}": image_encoder(case)[0] for project, case in CASES.items()},
        "extract-backbone": {f"image_encoder.backbone.{name}": tensor for name, tensor in vit.items()},
        "publish": {f"image_encoder.backbone.{name}": tensor for name, tensor in vit.items()},
    }


CONVERTERS = {
    "from-released-mgca": convert_released_mgca,
    "from-gloria": convert_gloria,
    **{f"from-{project}": partial(convert_image_encoder, project) for project in CASES},
}
COMMANDS = (*CONVERTERS, "extract-backbone", "publish")


@pytest.fixture(scope="module")
def whole():
    return make()


def run(command, state_dict, target, format="mmengine"):
    """As tools/convert_checkpoint.py, from weights that were read to the file."""
    if command == "publish":
        publish(state_dict, target)
    elif command == "extract-backbone":
        extract_backbone(state_dict, target, format)
    else:
        converted = CONVERTERS[command](state_dict)
        with replacing_output(target) as partial:
            write_torch({"state_dict": converted.state_dict}, partial)


KINDS = ("drop", "drop part", "keep one", "rename", "number", "shape", "kind", "value", "copy", "share")
NAMES = ("x", "", "a\nb", "\udcff", "x" * 10**5)
NUMBERS = ("7", "99", "999999999", "9" * 5000, "01", "-1")
SHAPES = ((), (0,), (1,), (2**20,), (1, 2**20), (1, 2), (30_000, 1), (1, 10**5, 1), (3, 3, 3), (1, 3, 512, 512))
DTYPES = (
    *(torch.int64, torch.int8, torch.uint16, torch.bool, torch.complex64, torch.complex128),
    *(torch.float16, torch.bfloat16, torch.float64),
)


def spoil_weights(data, state_dict) -> None:
    for _ in range(data.draw(few)):
        if not state_dict:
            return
        names = list(state_dict)
        name = names[at(names, data.draw(places))]
        tensor = state_dict[name]
        kind = data.draw(
            st.sampled_from(
                ("drop", "drop part", "keep one", "rename", "number", "shape", "kind", "value", "copy", "share")
            )
        )
        if kind == "drop":
            del state_dict[name]
        elif kind == "drop part":
            prefix = name.rpartition(".")[0]
            for other in names:
                if other.startswith(prefix):
                    del state_dict[other]
        elif kind == "keep one":
            prefix = name.split(".")[0]
            for other in names:
                if other != name and other.startswith(prefix):
                    del state_dict[other]
        elif kind == "rename":
            new = data.draw(st.sampled_from((name + "x", name[:-1], name.upper(), *NAMES)))
            state_dict[new] = state_dict.pop(name)
        elif kind == "number":
            new = data.draw(st.sampled_from(NUMBERS))
            state_dict[".".join(new if part.isdigit() else part for part in name.split("."))] = tensor
        elif kind == "shape":
            state_dict[name] = torch.zeros(data.draw(st.sampled_from(SHAPES)))
        elif kind == "kind":
            state_dict[name] = tensor.to(data.draw(st.sampled_from(DTYPES)))
        elif kind == "value" and tensor.is_floating_point():
            state_dict[name] = torch.full_like(tensor, data.draw(st.sampled_from((0, 1e4, float("nan"), float("inf")))))
        elif kind == "copy":
            prefix = data.draw(st.sampled_from(("gloria.", "module.", "backbone.", "image_encoder.backbone.")))
            state_dict[name.removeprefix(prefix) if name.startswith(prefix) else prefix + name] = tensor
        elif kind == "share" and tensor.numel():
            first = tensor.flatten()[:1]
            parts = (first, first.expand(1000), tensor.reshape(-1, 1).expand(-1, 7), tensor.view(tensor.shape))
            state_dict[name] = data.draw(st.sampled_from(parts))


@pytest.mark.parametrize("command", COMMANDS)
def test_whole(whole, command, tmp_path):
    """Or the fuzz would try nothing."""
    run(command, whole[command], tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").is_file()


@given(st.data(), st.sampled_from(COMMANDS), st.sampled_from(FORMATS))
@cases(15, 1000)
def test_spoilt(whole, tmp_path_factory, data, command, format):
    folder = tmp_path_factory.getbasetemp() / "converted"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    state_dict = dict(whole[command])
    spoil_weights(data, state_dict)
    size = sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in state_dict.values()}.values())
    target = folder / "out.safetensors"
    with in_time(), bounded(10 * size + 200 * 2**20):
        try:
            run(command, state_dict, target, format)
        except UserError as error:
            message = str(error)
            assert len(message.splitlines()) <= 3 and "allocate" not in message and len(message) < 1500, message
            assert not list(folder.iterdir())
            return
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert written <= 10 * size + 2**20


@given(st.data(), st.sampled_from(COMMANDS), st.sampled_from(FORMATS))
@cases(3, 100)
def test_the_command_line(whole, tmp_path_factory, data, command, format):
    """From a file to a file: exit code 0 and a file, or 2 and a few lines."""
    folder = tmp_path_factory.getbasetemp() / "commands"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    state_dict = dict(whole[command])
    spoil_weights(data, state_dict)
    torch.save({"state_dict": state_dict}, folder / "in.pth")
    target = folder / "out.safetensors"
    more = ["--format", format] if command == "extract-backbone" else []
    done = call("convert", command, folder / "in.pth", target, *more)
    assert done.returncode in (0, 2) and target.exists() == (done.returncode == 0)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or len(done.stderr.rpartition("error: ")[2].strip().splitlines()) <= 3
