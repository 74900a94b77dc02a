"""Checkpoints that claim more than they hold, or hold what no model has: an error, and nothing written."""

import re
import resource

import pytest
import torch

from mgca_mm.checkpoints.conversion.renaming import write_torch
from mgca_mm.errors import UserError
from mgca_mm.files import replacing_output
from tests.test_fuzz.cases import bounded, in_time
from tests.test_fuzz.test_converters import COMMANDS, make, run

MB = 2**20


@pytest.fixture(scope="module")
def whole():
    return make()


def with_dimensions_of_numbers(weights):
    """Of which a square matrix is made: 124 kB, and 3.9 GB."""
    weights["gloria.img_encoder.global_embedder.weight"] = torch.zeros(31_000, 1)
    weights["gloria.img_encoder.global_embedder.bias"] = torch.zeros(31_000)


def with_many_layers(weights):
    name = next(name for name in weights if re.search(r"(blocks|layers?)\.0\.", name))
    weights[name.replace(".0.", ".999999999.", 1)] = weights[name]


def with_one_large_shape(weights):
    name = next(name for name in weights if re.search(r"(patch_embed.*|visual\.conv1)\.weight$", name))
    weights[name] = torch.zeros(10**5, 3, 1, 1)


def with_many_patches(weights):
    name = next(name for name in weights if re.search(r"(pos_embed|position\w*_embeddings?)$", name))
    weights[name] = torch.zeros(1, 10**6 + 1, 128)


def with_no_numbers(weights):
    for name in weights:
        if weights[name].is_floating_point():
            weights[name] = torch.full_like(weights[name], float("nan"))


def with_whole_numbers(weights):
    for name in weights:
        weights[name] = weights[name].long()


def with_bare_numbers(weights):
    for name in weights:
        weights[name] = torch.tensor(0.0)


def with_shared_memory(weights):
    weights |= {f"{name}x{number}": tensor for name, tensor in list(weights.items()) for number in range(20)}


TRANSFORMERS = ("from-released-mgca", "from-blip", "from-rad-dino", "from-refers", "from-ptunifier", "extract-backbone")


@pytest.mark.parametrize(
    ("spoil", "commands"),
    [
        (with_dimensions_of_numbers, ("from-gloria",)),
        (with_many_layers, (*TRANSFORMERS, "from-gloria")),
        (with_one_large_shape, TRANSFORMERS),
        (with_many_patches, TRANSFORMERS),
        (with_no_numbers, (*TRANSFORMERS, "from-gloria")),
        (with_whole_numbers, (*TRANSFORMERS, "from-gloria")),
        (with_bare_numbers, (*TRANSFORMERS, "from-gloria")),
        (with_shared_memory, COMMANDS),
    ],
)
def test_spoilt_weights(whole, spoil, commands, tmp_path):
    for command in commands:
        weights = dict(whole[command])
        spoil(weights)
        size = sum({t.data_ptr(): t.nbytes for t in weights.values()}.values())
        with in_time(), bounded(10 * size + 200 * MB), pytest.raises(UserError):
            run(command, weights, tmp_path / "out.safetensors")
        assert not list(tmp_path.iterdir()), command


def test_two_names_for_one_of_ours(whole, tmp_path):
    weights = dict(whole["from-gloria"])
    weights["img_encoder.model.conv1.weight"] = weights["gloria.img_encoder.model.conv1.weight"] + 1
    with pytest.raises(UserError, match="two of its names"):
        run("from-gloria", weights, tmp_path / "out.pth")


def test_a_part_of_a_larger_tensor_is_written_alone(whole, tmp_path):
    """What lies beside it may be none of the public's business."""
    weights = dict(whole["publish"])
    size = sum(tensor.nbytes for tensor in weights.values())
    name = max(weights, key=lambda name: weights[name].nbytes)
    weights[name] = torch.cat([weights[name], torch.zeros(size // weights[name][0].nbytes, *weights[name].shape[1:])])[
        : len(weights[name])
    ]
    for command, format in (("publish", ""), ("extract-backbone", "mmengine")):
        target = tmp_path / f"{command}.safetensors"
        run(command, weights, target, format)
        assert target.stat().st_size < 1.2 * size


@pytest.fixture
def full_disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format", ["mmengine", "safetensors", "huggingface"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(whole, command, format, tmp_path, full_disk):
    with pytest.raises(UserError, match="cannot be written"):
        run(command, whole[command], tmp_path / "out.safetensors", format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_no_place_for_the_target(whole, command, tmp_path):
    (tmp_path / "out.safetensors").mkdir()
    for target in (tmp_path / "out.safetensors", tmp_path / "absent" / "out.safetensors"):
        with pytest.raises(UserError, match=r"is a folder|cannot be written|does not exist"):
            run(command, whole[command], target)
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]
    assert not list((tmp_path / "out.safetensors").iterdir())


def test_what_stood_there_stays_until_all_is_written(tmp_path):
    target = tmp_path / "out.pth"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing_output(target) as partial:
        write_torch({"a": torch.zeros(1)}, partial)
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
