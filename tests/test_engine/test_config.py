import pytest

from mgca_mm.engine.config import find_config, load_config, require_data
from mgca_mm.engine.launch import configure_run
from mgca_mm.errors import UserError
from tests.conftest import ROOT

VIT = str(ROOT / "configs" / "mgca" / "pretrain_vit.py")
QUICKSTART = str(ROOT / "configs" / "quickstart" / "pretrain_resnet18.py")


def test_variables_are_changed_wherever_they_are_used():
    cfg = load_config(VIT, dict(data_root="elsewhere", text_model="folder", image_init="file.pth"))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == "elsewhere"
        assert loader.dataset.pipeline[3].tokenizer == "folder"
    assert cfg.model.text_encoder.pretrained == "folder"
    assert cfg.model.image_encoder.backbone.init_cfg.checkpoint == "file.pth"


def test_variables_set_on_top_of_a_base_hold_there_too(tmp_path):
    middle, top = tmp_path / "middle.py", tmp_path / "top.py"
    middle.write_text(f"_base_ = '{VIT}'\ndata_root = 'between'\nimage_init = 'random'\n")
    top.write_text("_base_ = './middle.py'\ndata_root = 'else' + 'where'\ntext_model = 'folder'\n")
    cfg = load_config(str(top))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == "elsewhere"
        assert loader.dataset.pipeline[3].tokenizer == "folder"
    assert cfg.model.text_encoder.pretrained == "folder" and cfg.data_root == "elsewhere"
    assert cfg.model.image_encoder.backbone.init_cfg is None
    assert load_config(str(middle)).test_dataloader.dataset.data_root == "between"
    assert load_config(str(top), dict(data_root="last")).val_dataloader.dataset.data_root == "last"


def test_imports_that_a_config_has_replaced_are_not_made(tmp_path):
    (tmp_path / "base.py").write_text("data_root = 'a'\ncustom_imports = dict(imports=['not_there'])\n")
    (tmp_path / "c.py").write_text("_base_ = './base.py'\ndata_root = 'b'\ncustom_imports = dict(imports=['json'])\n")
    assert load_config(tmp_path / "c.py").data_root == "b"


def test_what_a_file_sets_itself_stays_though_its_base_has_the_same(tmp_path):
    """Such as the test set of the base beside a training set of one's own."""
    middle, top = tmp_path / "middle.py", tmp_path / "top.py"
    keep = "dict(dataset=dict(data_root='data/mimic_cxr'))"
    middle.write_text(f"_base_ = '{VIT}'\ndata_root = 'mine'\ntest_dataloader = {keep}\n")
    top.write_text(f"_base_ = './middle.py'\ndata_root = 'last'\nval_dataloader = {keep}\n")
    for path, expected in ((middle, ["mine", "mine", "data/mimic_cxr"]), (top, ["last", *["data/mimic_cxr"] * 2])):
        cfg = load_config(path)
        assert [cfg[f"{split}_dataloader"].dataset.data_root for split in ("train", "val", "test")] == expected
    middle.write_text(f"_base_ = '{VIT}'\ndata_root = 'mine'\nfound = '{{{{_base_.data_root}}}}'\n")
    assert load_config(middle).train_dataloader.dataset.data_root == "mine"


def test_every_run_has_our_default_hooks(tmp_path):
    (tmp_path / "c.py").write_text("default_hooks = dict(broken_samples=dict(interval=9))")
    options = {"default_hooks.step_seed": None, "default_hooks.non_finite.max_in_a_row": 5}
    hooks = load_config(str(tmp_path / "c.py"), options).default_hooks
    assert hooks.non_finite.max_in_a_row == 5 and hooks.step_seed is None
    assert hooks.termination.type == "mgca_mm.TerminationHook"
    assert hooks.broken_samples == dict(type="mgca_mm.BrokenSamplesHook", interval=9)


def test_other_options_are_merged():
    cfg = load_config(VIT, {"train_dataloader.batch_size": 36, "model.alignments.ita.loss_weight": 0.5})
    assert cfg.train_dataloader.batch_size == 36 and cfg.model.alignments.ita.loss_weight == 0.5


@pytest.mark.parametrize("name", ["mgca/pretrain_vit", "mgca/pretrain_vit.py", "mgca_mm::mgca/pretrain_vit.py"])
def test_configs_by_name_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name).samefile(VIT)
    file = tmp_path / name  # which comes first
    file.parent.mkdir()
    file.write_text("a = 1\n")
    assert load_config(name).a == 1 if name.endswith(".py") else find_config(name).samefile(file)


def test_config_errors_name_the_right_file(tmp_path):
    with pytest.raises(UserError, match=r"absent\.py"):
        load_config("absent.py")
    (tmp_path / "c.py").write_text("_base_ = './missing_base.py'\n")
    with pytest.raises(UserError, match="missing_base"):
        load_config(str(tmp_path / "c.py"))


def test_amp_and_work_dir(prepared, tmp_path):
    options = dict(data_root=str(prepared / "data"))
    cfg = configure_run(QUICKSTART, options, work_dir=str(tmp_path), amp=True)
    assert cfg.optim_wrapper.type == "mgca_mm.BFloat16OptimWrapper" and cfg.work_dir == str(tmp_path)
    assert configure_run(QUICKSTART, options).work_dir == "work_dirs/pretrain_resnet18"
    with pytest.raises(UserError, match="--amp"):
        configure_run(QUICKSTART, {**options, "optim_wrapper.type": "AmpOptimWrapper"}, amp=True)


def test_a_vocabulary_larger_than_the_embedding_is_refused(prepared):
    options = {"data_root": str(prepared / "data"), "model.text_encoder.config.vocab_size": 50}
    with pytest.raises(UserError, match=r"model\.text_encoder\.config\.vocab_size is 50"):
        require_data(load_config(QUICKSTART, options))


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("content", "message"), [(None, "has nothing for the detection"), ("[]", "has no box"), ("{}", "COCO's format")]
)
def test_boxes_are_looked_for_before_a_detector_is_built(tmp_path, split, content, message):
    """A split without any gives no metric, hence no best checkpoint."""
    box = '[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}]'
    (tmp_path / "detection").mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    parts = '{"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "a"}], "annotations": %s}'
    for name in ("train", "val", "test"):
        (tmp_path / f"detection/{name}.json").write_text(parts % box)
    cfg = load_config("quickstart/detection_rsna", {"data_root": str(tmp_path)})
    require_data(cfg)
    path = tmp_path / f"detection/{split}.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(parts % content)
    with pytest.raises(UserError, match=message) as caught:
        require_data(cfg)
    assert str(tmp_path) in str(caught.value) and f"detection/{split}.json" in str(caught.value)
    require_data(cfg, [other for other in ("train", "val", "test") if other != split])
    # A file elsewhere is looked for by what reads it.
    cfg[f"{split}_dataloader"]["dataset"]["data_root"] = "s3://bucket/"
    require_data(cfg)
