"""The configs printed in the documentation are whole: they load, build, and hold the checkpoint's weights."""

import contextlib
import importlib
import inspect
import pkgutil
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.validation import validate
from mgca_mm.errors import UserError
from mgca_mm.models import ImageEncoder
from mgca_mm.reproduction import paper
from tests.conftest import ROOT, SMALL_MODEL

install()

PAGE = ROOT / "docs/replace_backbone.md"
BLOCKS = dict(re.findall(r"```python\n# (\w+\.py)\n(.+?)```", PAGE.read_text(), flags=re.DOTALL))
PREFIX = "image_encoder.backbone."


def save_checkpoint(path, backbone):
    """A pretraining checkpoint with weights unlike any initialization's; returns those of the backbone."""
    init_default_scope("mgca_mm")
    state_dict = ImageEncoder(backbone).state_dict()
    content = {
        f"image_encoder.{name}": torch.rand(tensor.shape).to(tensor.dtype) for name, tensor in state_dict.items()
    }
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": content | {"text_encoder.x": torch.ones(1)}}, path)
    return {name.removeprefix(PREFIX): tensor for name, tensor in content.items()}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_block(name):
        path = tmp_path / name
        path.write_text(BLOCKS[name])
        return path

    yield write_block
    init_default_scope("mgca_mm")


def build(cfg):
    scope = cfg.get("default_scope") or "mgca_mm"
    init_default_scope(scope)
    if "data_preprocessor" in cfg:
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    name = cfg.model.type
    return MODELS.build({**cfg.model, "type": name if "." in name else f"{scope}.{name}"})


def test_every_block_is_tested():
    tested = {"resnet50_classifier.py", "yolov3.py", "fcn.py", "unet.py", "torchvision_resnet50.py"}
    tested |= {"pretrain_regnet.py", "pretrain_convnext.py", "pretrain_modernbert.py", "detect_regnet.py"}
    assert set(BLOCKS) == tested | {"vit_finetune.py", "pretrain_layer_decay.py"}
    assert PAGE.read_text().count("```python") == len(BLOCKS)


@pytest.mark.parametrize("name", ["resnet50_classifier.py", "yolov3.py", "fcn.py", "unet.py"])
def test_stock_configs_take_the_encoder(name, write, tmp_path):
    checkpoint = tmp_path / "work_dirs/pretrain_resnet50/epoch_50.pth"
    expected = save_checkpoint(checkpoint, dict(type="mmpretrain.ResNet", depth=50, out_indices=(2, 3)))
    model = build(Config.fromfile(write(name)))
    model.init_weights()
    found = model.backbone.state_dict()
    assert set(found) == set(expected)
    for key in found:
        assert torch.equal(found[key], expected[key].to(found[key].dtype)), key
    preprocessor = model.data_preprocessor
    assert preprocessor.mean.flatten().tolist() == preprocessor.std.flatten().tolist() == [127.5] * 3


def test_torchvision_takes_the_encoder(write, tmp_path):
    checkpoint = tmp_path / "work_dirs/pretrain_resnet50/epoch_50.pth"
    expected = save_checkpoint(checkpoint, dict(type="mmpretrain.ResNet", depth=50, out_indices=(2, 3)))
    model = runpy.run_path(str(write("torchvision_resnet50.py")))["model"]
    assert torch.equal(model.layer4[2].conv3.weight, expected["layer4.2.conv3.weight"])


@pytest.mark.parametrize("name", ["pretrain_regnet.py", "pretrain_convnext.py"])
def test_other_backbones_in_pretraining(name, write):
    encoder = MODELS.build({**Config.fromfile(write(name)).model.image_encoder, "type": "mgca_mm.ImageEncoder"})
    features = encoder(torch.rand(2, 3, 224, 224))
    assert features.global_feature.shape == (2, encoder.global_channels)
    assert features.tokens.shape == (2, 14 * 14, encoder.token_channels)


def test_another_text_encoder_in_pretraining(write):
    encoder = MODELS.build(Config.fromfile(write("pretrain_modernbert.py")).model.text_encoder)
    assert type(encoder.model).__name__ == "ModernBertModel"
    assert encoder.global_channels == encoder.token_channels == 192


def test_layer_wise_decay_of_a_stock_config(write, tmp_path):
    vit = dict(type="mmpretrain.VisionTransformer", arch="deit-base", img_size=224, out_type="raw")
    expected = save_checkpoint(tmp_path / "work_dirs/pretrain_vit/epoch_50.pth", vit)
    cfg = load_config(str(write("vit_finetune.py")))
    validate(cfg)
    model = build(cfg)
    model.init_weights()
    found = model.backbone.state_dict()
    assert set(found) - set(expected) == {"ln2.weight", "ln2.bias"}
    assert all(torch.equal(found[name], expected[name]) for name in set(found) & set(expected))
    assert found["ln2.weight"].eq(1).all() and found["ln2.bias"].eq(0).all()
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    assert {group["layer_id"]: group["lr"] for group in groups} == pytest.approx(
        {layer: 2e-3 * 0.65 ** (13 - layer) for layer in range(14)}
    )


def test_layer_wise_decay_of_the_pretraining(write):
    cfg = load_config(str(write("pretrain_layer_decay.py")))
    validate(cfg)
    model = MODELS.build(SMALL_MODEL)  # which has two layers
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    lr = {group["param_name"]: group["lr"] for group in groups}
    depths = {"patch_embed.projection": 3, "layers.0.ln1": 2, "layers.1.ffn.layers.1": 1, "ln1": 0}
    for name, power in depths.items():
        assert lr[f"image_encoder.backbone.{name}.weight"] == pytest.approx(2e-5 * 0.75**power)
    assert {rate for name, rate in lr.items() if "backbone" not in name} == {2e-5}
    model.image_encoder.backbone = MODELS.build(dict(type="mmpretrain.ResNet", depth=50))
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    lr = {group["param_name"]: group["lr"] for group in groups}
    blocks = ("layer1.2", "layer2.1", "layer2.2", "layer3.2", "layer3.3", "layer4.0")
    depths = {"conv1": 7} | {f"{block}.conv1": 6 - index for index, block in enumerate(blocks)}
    for name, power in depths.items():
        assert lr[f"image_encoder.backbone.{name}.weight"] == pytest.approx(2e-5 * 0.75**power)
    assert len({rate for name, rate in lr.items() if "backbone" in name}) == 7
    assert {rate for name, rate in lr.items() if "backbone" not in name} == {2e-5}
    for backbone in (torch.nn.Linear(1, 1), MODELS.build(dict(type="mmpretrain.ResNet", depth=18))):
        model.image_encoder.backbone = backbone
        with pytest.raises(UserError, match=rf"get_layer_depth\), and this {type(backbone).__name__} does not\.\n"):
            build_optim_wrapper(model, cfg.optim_wrapper)


def test_another_backbone_downstream(write, tmp_path):
    backbone = dict(type="mmpretrain.RegNet", arch="regnetx_1.6gf", out_indices=(2, 3))
    checkpoint = tmp_path / "work_dirs/pretrain_regnet/epoch_50.pth"
    expected = save_checkpoint(checkpoint, backbone)
    model = build(Config.fromfile(write("detect_regnet.py")))
    model.init_weights()
    found = model.backbone.state_dict()
    assert set(found) == set(expected)
    assert torch.equal(found["layer4.1.conv3.weight"], expected["layer4.1.conv3.weight"])
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    outputs = model.eval()(torch.rand(1, 3, 224, 224), mode="tensor")
    assert outputs[0][0].shape[-2:] == (7, 7)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet, under which --strict counts no warning.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_builds_without_a_broken_link(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert {path.parent.relative_to(site) for path in site.rglob("index.html")} >= pages - {Path("index")}


def test_site_asks_no_other_host(site):
    """A hospital's network has none."""
    elsewhere = r"[\"']?(?:https?:)?//"
    asked = rf"<(?:script|img|iframe|source)\b[^>]*\bsrc={elsewhere}|<link\b[^>]*stylesheet[^>]*\bhref={elsewhere}"
    for page in site.rglob("*.html"):
        assert not re.search(asked, page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert not re.search(rf"url\({elsewhere}|@import", sheet.read_text()), sheet


def test_front_page_leads_to_every_page(site):
    front = (ROOT / "docs/index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "index.md" or f"]({name}" in front, name


def test_every_public_name_is_in_the_reference(site):
    text = "".join(page.read_text() for page in (site / "api").rglob("*.html"))
    shown = set()
    for name in re.findall(r'id="(mgca_mm\.[^"]+)', text):
        with contextlib.suppress(AttributeError):  # of an instance
            shown.add(id(pkgutil.resolve_name(name)))
    for file in (ROOT / "mgca_mm").rglob("__init__.py"):
        package = importlib.import_module(".".join(file.parent.relative_to(ROOT).parts))
        for name in getattr(package, "__all__", []):
            thing = getattr(package, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                assert id(thing) in shown, f"{package.__name__}.{name}"


def test_reference_shows_no_markup_of_docstrings(site):
    for page in (site / "api").rglob("*.html"):
        assert not re.search(r":(?:func|class|meth|mod|attr|data|exc):|::</p>", page.read_text()), page


def test_comments_point_to_sections_of_the_protocol():
    sections = re.findall(r"^#+ (.+)$", (ROOT / "docs/protocol.md").read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9]+", "-", section.lower()) for section in sections}
    files = [path for folder in ("mgca_mm", "configs", "docs", "tools", "tests") for path in (ROOT / folder).rglob("*")]
    cited = set()
    for path in files:
        if path.suffix in (".py", ".md"):
            cited.update(re.findall(r"\bprotocol\.md#([\w-]+)", path.read_text()))
    assert len(cited) > 10 and cited <= anchors


def test_the_protocol_prints_the_numbers_that_reports_compare_with():
    page = (ROOT / "docs/protocol.md").read_text()
    assert len(paper._NUMBERS) > 40
    for key, numbers in paper._NUMBERS.items():
        assert " / ".join("–" if number is None else str(number) for number in numbers) in page, key
    for setting in paper._ERROR_BARS:
        cells = [paper.paper_text("table6", setting, "vit", "mgca", percent) for percent in (1, 10, 100)]
        assert f"| {' | '.join(cells)} |" in page, setting


def test_the_methods_are_those_of_the_configs():
    """Each row of the table has the dict and the text encoder of its configs, and no method is left out."""
    page = (ROOT / "docs/methods.md").read_text()
    rows = re.findall(r"^\| (`\w+`[^|]*) \|([^|]*)\|[^|]*\| (\w+) \|$", page, re.MULTILINE)
    told = {name: (entries.strip(), text) for names, entries, text in rows for name in re.findall(r"\w+", names)}
    assert told.keys() == {path.parent.name for path in ROOT.glob("configs/*/pretrain_vit.py")} - {"custom"}
    for name, row in told.items():
        model = load_config(f"{name}/pretrain_vit").model
        entries = ", ".join(f"`{key}: {entry.type}`" for key, entry in model.get("alignments", {}).items())
        encoder = model.get("text_encoder")
        assert row == (entries, "none" if encoder is None else "frozen" if encoder.get("frozen") else "trained"), name


def test_links_to_files_lead_somewhere():
    """Also those of files outside the site: the README and the methods' pages."""
    for page in [ROOT / "README.md", *(ROOT / "configs").glob("*/README.md"), *(ROOT / "projects").rglob("README.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_troubleshooting_quotes_messages_that_exist():
    source = "".join(path.read_text() for path in (ROOT / "mgca_mm").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # strings continued on the next line
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "docs/troubleshooting.md").read_text(), flags=re.MULTILINE)
    assert len(rows) > 10
    for message in re.findall(r"`([^`]+)`", " ".join(rows)):
        for part in re.split(r"…(?:/train\.json)?|'[xyz.]+'|\b[NM]\b|sample-1a2b", message):
            words = part.strip("'; :,?")
            assert len(words) < 4 or words in source, f"{message}: '{words}'"


@pytest.mark.parametrize("page", ["configs_and_tools.md", "index.md", "figures.md", "inference.md", "own_labels.md"])
def test_commands_name_files_that_exist(page):
    text = (ROOT / "docs" / page).read_text()
    for path in re.findall(r"\b((?:configs|tools)/[\w/]+\.(?:py|sh))\b", text):
        assert (ROOT / path).is_file(), path
    for tool in (ROOT / "tools").glob("*.*"):
        assert page != "configs_and_tools.md" or tool.name in text, f"{tool.name} is not in {page}"
