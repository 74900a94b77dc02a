"""MRM: what is hidden, the losses against slow loops, and that nothing hidden is seen."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from mgca_mm.benchmarks.operators import OperatorCount
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import MASKED_MODEL, small_batch


def make_batch(size=4, seed=0):
    image = torch.randint(0, 256, (size, 1, 64, 64), generator=torch.Generator().manual_seed(seed))
    return dict(inputs={**small_batch(size, seed), "image": image.byte()})


@pytest.fixture
def model():
    model = MODELS.build(copy.deepcopy(MASKED_MODEL)).double()
    for positions in (model.image_decoder.decoder_pos_embed, model.image_encoder.backbone.pos_embed):
        torch.nn.init.normal_(positions)
    return model


@pytest.fixture
def inputs(model):
    inputs = model.data_preprocessor(make_batch(), training=True)["inputs"]
    return {**inputs, "image": inputs["image"].double()}


def test_what_is_hidden():
    preprocessor = MODELS.build(dict(MASKED_MODEL["data_preprocessor"], report_ratio=0.4))
    preprocessor.num_patches = 16
    shares = []
    for step in range(20):
        inputs = preprocessor(make_batch(seed=step), training=True)["inputs"]
        for row in range(4):
            visible, places = inputs["visible_patches"][row].tolist(), inputs["patch_places"][row].tolist()
            assert len(visible) == 4 and sorted(places) == list(range(16))
            assert [places[patch] for patch in visible] == [0, 1, 2, 3]
            masked, real = inputs["masked_pieces"][row].tolist(), int(inputs["attention_mask"][row].sum())
            assert not masked[0] and not any(masked[real - 1 :])
            continues = inputs["is_continuation"][row].tolist()
            words = [masked[t] for t in range(1, real - 1) if not continues[t]]
            assert all(masked[t] == masked[t - 1] for t in range(2, real - 1) if continues[t])
            shares += words
    assert abs(sum(shares) / len(shares) - 0.4) < 0.05
    assert not inputs["visible_patches"][0].equal(inputs["visible_patches"][1])


def test_in_evaluation_the_same_is_hidden_of_all():
    """Whatever the batch, its length, and what has been drawn before."""
    preprocessor = MODELS.build(MASKED_MODEL["data_preprocessor"])
    preprocessor.num_patches = 16
    whole, part = preprocessor(make_batch())["inputs"], make_batch()
    part["inputs"] = {k: v[2:] if k == "image" else v[2:, :14] for k, v in part["inputs"].items()}
    part = preprocessor(part)["inputs"]
    assert part["visible_patches"].equal(whole["visible_patches"][2:])
    assert part["patch_places"].equal(whole["patch_places"][:1].expand(2, -1))
    assert part["masked_pieces"][:, :13].equal(whole["masked_pieces"][2:, :13])


def one_pair(model, inputs, row):
    """One pair, patch by patch and piece by piece: the errors of hidden patches, the surprises of masked pieces."""
    backbone, decoder = model.image_encoder.backbone, model.image_decoder
    image, visible = inputs["image"][row], inputs["visible_patches"][row].tolist()
    seen = F.interpolate(image[None], size=32, mode="bilinear", align_corners=True)[0]
    tokens = [backbone.cls_token[0, 0] + backbone.pos_embed[0, 0]]
    for patch in visible:
        top, left = 8 * (patch // 4), 8 * (patch % 4)
        embedded = backbone.patch_embed.projection(seen[None, :, top : top + 8, left : left + 8]).flatten()
        tokens.append(embedded + backbone.pos_embed[0, 1 + patch])
    tokens = torch.stack(tokens)[None]
    for layer in backbone.layers:
        tokens = layer(tokens)
    tokens = backbone.ln1(tokens)[0]
    narrow = decoder.decoder_embed(tokens)
    rows = [narrow[1 + visible.index(s)] if s in visible else decoder.mask_token[0, 0] for s in range(16)]
    states = (torch.stack([narrow[0], *rows]) + decoder.decoder_pos_embed[0])[None]
    for block in decoder.decoder_blocks:
        states = block(states)
    pixels = decoder.decoder_pred(decoder.decoder_norm(states))[0, 1:]
    errors = []
    for patch in set(range(16)) - set(visible):
        top, left = 16 * (patch // 4), 16 * (patch % 4)
        target = [image[0, top + i, left + j] for i in range(16) for j in range(16)]
        mean = sum(target) / 256
        variance = sum((x - mean) ** 2 for x in target) / 256
        normalized = [(x - mean) / (variance + 1e-6) ** 0.5 for x in target]
        errors.append(sum((a - b) ** 2 for a, b in zip(pixels[patch], normalized, strict=True)) / 256)

    real = int(inputs["attention_mask"][row].sum())
    ids, masked = inputs["input_ids"][row].tolist(), inputs["masked_pieces"][row].tolist()
    table = model.report_decoder.get_input_embeddings().weight
    latent = model.image_to_report(sum(tokens[1:]) / len(visible))
    pieces = torch.stack([(model.mask_embedding if masked[t] else table[ids[t]]) + latent for t in range(real)])
    logits = model.masked_piece(model.report_decoder(inputs_embeds=pieces[None]).last_hidden_state[0])
    surprises = [-logits[t].log_softmax(dim=0)[ids[t]] for t in range(real) if masked[t]]
    return errors, surprises


def test_losses_and_gradients(model, inputs):
    losses = model(inputs, mode="loss")
    pairs = [one_pair(model, inputs, row) for row in range(4)]
    errors, surprises = (list(itertools.chain(*parts)) for parts in zip(*pairs, strict=True))
    expected = dict(loss_image=sum(errors) / len(errors), loss_report=sum(surprises) / len(surprises))
    torch.testing.assert_close(losses, expected, rtol=1e-10, atol=0)
    trained = [p for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(
        torch.autograd.grad(sum(losses.values()), trained),
        torch.autograd.grad(sum(expected.values()), trained),
        strict=True,
    ):
        assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max() + 1e-13

    samples = model.eval()(inputs, [ImageReportSample() for _ in range(4)], mode="predict")
    for sample, (errors, surprises) in zip(samples, pairs, strict=True):
        expected = dict(loss_image=sum(errors) / 12, loss_report=sum(surprises) / max(1, len(surprises)))
        torch.testing.assert_close(sample.losses, expected, rtol=1e-10, atol=0, check_dtype=False)


def test_nothing_waits_for_the_device():
    model = MODELS.build(copy.deepcopy(MASKED_MODEL))
    with OperatorCount() as count:
        losses = model(model.data_preprocessor(make_batch(), training=True)["inputs"], mode="loss")
        sum(losses.values()).backward()
    assert count.waits == []


def test_nothing_hidden_is_seen(model, inputs):
    """Other pixels of hidden patches and other masked words restore the same; other visible ones do not."""
    hidden = inputs["patch_places"] >= 4
    large = hidden.view(-1, 1, 4, 4).repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    # Pixels are resized before they are seen: those at the edge of a hidden patch are seen by its neighbor.
    model.image_encoder.resize_to = None
    model.image_encoder.backbone.patch_embed.projection.stride = (16, 16)
    other = {**inputs, "image": torch.where(large, -inputs["image"], inputs["image"])}
    other["input_ids"] = torch.where(inputs["masked_pieces"], (inputs["input_ids"] + 1) % 60, inputs["input_ids"])
    for ours, theirs in zip(model(inputs), model(other), strict=True):
        assert ours.equal(theirs)
    other["image"] = -inputs["image"]
    assert not any(ours.equal(theirs) for ours, theirs in zip(model(inputs), model(other), strict=True))


def test_the_encoder_alone_sees_whole_images(model, inputs):
    """Also after something was hidden from it, and without reports: what a probe of it asks for."""
    model(inputs)
    images = model.data_preprocessor(dict(inputs=dict(image=make_batch()["inputs"]["image"])))["inputs"]["image"]
    assert model.image_encoder(images.double()).tokens.shape == (4, 16, 32)


def test_what_it_is_not():
    resnet = dict(type="mgca_mm.ImageEncoder", input_size=64, backbone=dict(type="mmpretrain.ResNet", depth=18))
    with pytest.raises(UserError, match="VisionTransformer"):
        MODELS.build({**copy.deepcopy(MASKED_MODEL), "image_encoder": resnet})
    distilled = copy.deepcopy(MASKED_MODEL)
    distilled["image_encoder"]["backbone"]["type"] = "mmpretrain.DistilledVisionTransformer"
    with pytest.raises(UserError, match="VisionTransformer"):
        MODELS.build(distilled)
    with pytest.raises(ValueError, match="within"):
        MODELS.build(dict(MASKED_MODEL["data_preprocessor"], image_ratio=1.0))
    model = MODELS.build(copy.deepcopy(MASKED_MODEL))
    with pytest.raises(UserError, match="embeds none"):
        model.encode_images(make_batch()["inputs"]["image"][:, 0])
    model.image_encoder.resize_to = 64
    batch = {**make_batch()["inputs"], "image": torch.zeros(4, 1, 128, 128, dtype=torch.uint8)}
    with pytest.raises(UserError, match="patch_size does not go with crop_size"):
        model(model.data_preprocessor(dict(inputs=batch))["inputs"], mode="loss")
    assert model.get_layer_depth("image_encoder.backbone.cls_token")[0] == 0
