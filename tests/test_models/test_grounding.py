"""Heat maps of phrases, attention between words and regions, and zero-shot scores, by hand."""

import re

import numpy as np
import pytest
import torch

from mgca_mm.errors import UserError
from mgca_mm.models import PhraseGrounder, ZeroShotClassifier
from mgca_mm.models.grounding import phrase_maps
from mgca_mm.models.prompts import NORMAL, make_prompts
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import SMALL_MODEL, small_batch

RESNET = dict(
    type="mgca_mm.ImageEncoder", input_size=64, backbone=dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3))
)
TIMM = dict(
    type="mgca_mm.ImageEncoder",
    input_size=64,
    backbone=dict(type="mmpretrain.TIMMBackbone", model_name="vit_tiny_patch16_224", img_size=64),
)
POOLED = dict(
    type="mgca_mm.ImageEncoder",
    input_size=64,
    backbone=dict(
        type="mmpretrain.TIMMBackbone", model_name="swin_tiny_patch4_window7_224", img_size=64, features_only=True
    ),
)
DISTILLED = dict(  # timm pools it in forward(), so that forward_features() is called instead
    type="mgca_mm.ImageEncoder",
    input_size=64,
    backbone=dict(type="mmpretrain.TIMMBackbone", model_name="deit_tiny_distilled_patch16_224", img_size=64),
)
MAPPED = dict(  # has [CLS], which it does not hand out: the mean of the map is the global feature
    type="mgca_mm.ImageEncoder",
    input_size=64,
    backbone=dict(type="mmpretrain.VisionTransformer", arch="deit-t", img_size=64, patch_size=16, out_type="featmap"),
)
WELDON = dict(pooling=dict(type="mgca_mm.WeldonPooling", num_regions=2))


def build(encoder=None, **changes):
    model = {**SMALL_MODEL, **changes}
    if encoder is not None:
        model["image_encoder"] = encoder
    return MODELS.build(model).eval()


WATCHED = {
    "vit": (None, 32),
    "resnet": (RESNET, 64),
    "timm_vit": (TIMM, 64),
    "swin": (POOLED, 64),
    "distilled": (DISTILLED, 64),
    "vit_map": (MAPPED, 64),
    "resnet_weldon": ({**RESNET, **WELDON}, 64),
    "timm_vit_weldon": ({**TIMM, **WELDON}, 64),
    "distilled_weldon": ({**DISTILLED, **WELDON}, 64),
}


@pytest.mark.parametrize(("encoder", "size"), WATCHED.values(), ids=WATCHED)
def test_watching_changes_nothing_and_has_a_gradient(encoder, size):
    model = build(encoder)
    images = small_batch(2, image_size=size)["image"]
    expected = model.embed_images({"image": images})
    with model.image_encoder.watch_regions() as watched:
        found = model.embed_images({"image": images})
    torch.testing.assert_close(found, expected)
    assert len(watched) == 1 and watched[0].shape[0] == 2
    assert int(watched[0].shape[1] ** 0.5) ** 2 == watched[0].shape[1]
    gradient = torch.autograd.grad(found.global_feature.sum(), watched[0])[0]
    assert gradient.abs().sum() > 0
    model.embed_images({"image": images})
    assert len(watched) == 1  # nothing stays behind


@pytest.mark.parametrize(("encoder", "size"), [(None, 32), (RESNET, 64), (TIMM, 64)])
def test_maps_of_phrases(encoder, size):
    model = build(encoder)
    inputs = small_batch(3, image_size=size)
    phrases = model.embed_reports(inputs).global_feature
    with torch.no_grad():  # as in a test loop
        maps = phrase_maps(model, inputs["image"], phrases)
    assert maps.shape == (3, 56 * 56)
    assert maps.min() >= 0 and maps.std(dim=1).min() > 0
    assert all(parameter.grad is None for parameter in model.parameters())
    one = phrase_maps(model, inputs["image"][1:2], phrases[1:2])  # an image's map is its own
    torch.testing.assert_close(one[0], maps[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("encoder", [RESNET, POOLED, MAPPED], ids=["resnet", "swin", "vit_map"])
def test_what_is_watched_is_what_the_global_feature_is_made_of(encoder):
    model = build(encoder)
    with model.image_encoder.watch_regions() as watched:
        found = model.image_encoder(small_batch(2, image_size=64)["image"])
    torch.testing.assert_close(watched[0].mean(dim=1), found.global_feature)


def test_regions_that_make_no_square(monkeypatch):
    model = build(RESNET)
    inputs = small_batch(2, image_size=64)
    phrases = model.embed_reports(inputs).global_feature
    with pytest.raises(UserError, match="2 regions, which make no square"):
        phrase_maps(model, inputs["image"][..., :32], phrases)


def test_maps_have_the_scale_of_the_contrast():
    """Half the contrast makes half the map; its peak is what the strongest region would add as the whole image."""
    model = build(RESNET)
    inputs = small_batch(2, image_size=64)
    directions = model.embed_reports(inputs).global_feature
    maps = phrase_maps(model, inputs["image"], directions)
    torch.testing.assert_close(phrase_maps(model, inputs["image"], directions / 2), maps / 2, atol=1e-5, rtol=1e-3)
    images = inputs["image"].requires_grad_(True)
    with model.image_encoder.watch_regions() as watched:
        score = (model.embed_images({"image": images}).global_feature * directions).sum()
    gradient = torch.autograd.grad(score, watched[-1])[0]
    added = (gradient.clamp(min=0) * watched[-1]).sum(dim=-1).clamp(min=0)
    assert (maps.amax(dim=1) <= added.amax(dim=1) * added.shape[1] * 1.001).all()


def seeing_one_corner():
    """An encoder that sees the upper right corner alone, an image and a phrase."""
    model = build(RESNET)
    model.image_encoder.backbone.layer4 = torch.nn.Identity()
    original = model.image_encoder._run_backbone

    def corner_only(images):
        mask = torch.zeros_like(images)
        mask[..., :24, 40:] = 1
        return original(images * mask)

    model.image_encoder._run_backbone = corner_only
    image = small_batch(1, image_size=64)["image"]
    phrase = torch.nn.functional.normalize(torch.randn(1, 16), dim=1)
    model.image_projector = torch.nn.Sequential(torch.nn.LazyLinear(16))
    return model, image, phrase


def test_map_follows_what_the_similarity_depends_on():
    heat_map = phrase_maps(*seeing_one_corner()).view(56, 56)
    row, column = np.unravel_index(heat_map.argmax(), (56, 56))
    assert row < 28 and column >= 28


def test_regions_of_the_map_are_where_they_are_in_the_image(monkeypatch):
    """The same of the coarse map alone: the fine one is flat."""
    monkeypatch.setattr("mgca_mm.models.grounding._blur", torch.ones_like)
    monkeypatch.setattr("mgca_mm.models.grounding._scale", lambda maps: maps)
    model = build(RESNET)
    upper_right = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    model.image_encoder.backbone.layer4.register_forward_hook(lambda module, args, output: output * upper_right)
    heat_map = phrase_maps(model, small_batch(1, image_size=64)["image"], torch.randn(1, 16)).view(56, 56)
    assert heat_map[:14, -14:].min() > 0
    assert heat_map[:, :14].max() == heat_map[-14:].max() == 0


def build_prompted(prepared, **changes):
    """A model with sentences of its own, in the vocabulary of a prepared folder."""
    text = {**SMALL_MODEL["text_encoder"]["config"], "vocab_size": 1000}
    tokenize = dict(type="TokenizeReport", max_length=16)
    text_encoder = {**SMALL_MODEL["text_encoder"], "config": text}
    return build(tokenize=tokenize, data_root=str(prepared / "data"), text_encoder=text_encoder, **changes)


def test_grounder_predicts(prepared):
    """The contrast of the phrase with a normal chest."""
    model = build_prompted(prepared, type="mgca_mm.PhraseGrounder")
    assert isinstance(model, PhraseGrounder)
    inputs = small_batch(2)
    samples = model(inputs, [ImageReportSample() for _ in range(2)], mode="predict")
    tokens = model.tokenize.batch(NORMAL, str(prepared / "data"))
    normal = torch.nn.functional.normalize(model.embed_reports(tokens).global_feature.mean(dim=0), dim=0)
    expected = phrase_maps(model, inputs["image"], model.embed_reports(inputs).global_feature - normal)
    torch.testing.assert_close(torch.stack([sample.heat_map for sample in samples]), expected)


def test_attention_is_that_of_the_loss():
    """softmax(QKᵀ/√d) V of the maps that are shown, against the attention as it is trained."""
    model = build().double()
    inputs = {key: value.double() if key == "image" else value for key, value in small_batch(3).items()}
    image, text = model.embed_images(inputs), model.embed_reports(inputs)
    maps = model.attend(image, text)
    cta = model.alignments["cta"]
    for attention, weights, tokens, context, mask in (
        (cta.text_attention, maps.words_to_regions, text.tokens, image.tokens, None),
        (cta.image_attention, maps.regions_to_words, image.tokens, text.tokens, text.token_mask),
    ):
        expected = attention(tokens, context, mask)
        torch.testing.assert_close(attention.output(weights @ attention.value(context)), expected)
    assert (maps.regions_to_words.masked_select(~text.token_mask[:, None].expand_as(maps.regions_to_words)) == 0).all()


def test_no_attention_without_tokens():
    model = build(alignments=dict(ita=dict(type="mgca_mm.InstanceAlignment")))
    inputs = small_batch(2)
    with pytest.raises(Exception, match="No attention between words and regions"):
        model.attend(model.embed_images(inputs), model.embed_reports(inputs))


def test_zero_shot_classifier(prepared):
    findings = ["Edema", "Pleural Effusion"]
    model = build_prompted(prepared, type="mgca_mm.ZeroShotClassifier", findings=findings)
    assert isinstance(model, ZeroShotClassifier)
    inputs = {"image": small_batch(3)["image"]}
    scores = torch.stack([s.pred_score for s in model(inputs, [ImageReportSample() for _ in range(3)], mode="predict")])
    assert scores.shape == (3, 2) and scores.min() >= 0 and scores.max() <= 1
    with torch.no_grad():  # other weights, other sentences: nothing may be remembered
        for parameter in model.text_encoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.eval()
    again = torch.stack([s.pred_score for s in model(inputs, [ImageReportSample() for _ in range(3)], mode="predict")])
    assert not torch.allclose(scores, again)


def test_prompts():
    prompts = make_prompts(["Edema", "Cardiomegaly", "Rib Notching"])
    assert prompts["Edema"][0][0] == "pulmonary edema"
    assert "no pulmonary edema" in prompts["Edema"][1]
    assert "the heart is enlarged" in prompts["Cardiomegaly"][0]
    assert "there is no rib notching" in prompts["Rib Notching"][1]
    assert make_prompts(["edema"])["edema"] == prompts["Edema"]
    assert make_prompts("Edema") == {"Edema": prompts["Edema"]}
    own = make_prompts(["Cardiomegaly", "No Finding"], dict(present="{} here", absent=["{} gone", "without {}"]))
    assert own["Cardiomegaly"] == (("cardiomegaly here",), ("cardiomegaly gone", "without cardiomegaly"))
    assert "the lungs are clear" in own["No Finding"][0]
    assert make_prompts({"x": ("there is x", "no x")}) == {"x": (("there is x",), ("no x",))}
    assert make_prompts({"x": ("hay pulmón", "肺 清")}, words="unicode") == {"x": (("hay pulmón",), ("肺 清",))}


def test_words_of_prompts(prepared):
    """Those of the prepared folder, unless they are named."""
    for words, sides in (({}, ("hay pulmon", "sin pulmon")), ({"words": "unicode"}, ("hay pulmón", "sin pulmón"))):
        findings = {"x": (["hay pulmón"], ["sin pulmón"])}
        model = build_prompted(prepared, type="mgca_mm.ZeroShotClassifier", findings=findings, **words)
        assert model.prompts == {"x": tuple((side,) for side in sides)}


@pytest.mark.parametrize(
    ("findings", "templates", "message"),
    [
        ({"x": "there is x"}, None, "'x' needs sentences"),
        ({"x": (("there is x",), ("",))}, None, "'x' needs sentences"),
        (["x"], dict(present=["there is"], absent=["no {}"]), "Template 'there is' needs one {}"),
        (["x"], dict(present=["{0}"], absent=["no {}"]), "Template '{0}' needs one {}"),
        (["x"], dict(present=["{}"]), "two entries"),
    ],
)
def test_prompts_that_are_none(findings, templates, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make_prompts(findings, templates)


def test_nothing_is_compiled_for_a_look(prepared):
    """The fast recipe's parts are compiled for training; on CPUs without a compiler a look must not ask for one."""

    def refuse(graph, inputs):
        raise AssertionError("compiled")

    model = build_prompted(prepared, type="mgca_mm.PhraseGrounder", compile=dict(backend=refuse))
    inputs = small_batch(2)
    model(inputs, [ImageReportSample() for _ in range(2)], mode="predict")
    model.attend(model.embed_images(inputs), model.embed_reports(inputs))
    with pytest.raises(Exception, match="compiled"):
        model.train()(inputs, mode="loss")
