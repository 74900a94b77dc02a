"""The released configs on data that either protocol has prepared."""

import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mgca_mm.engine.launch import configure_run
from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, prepare
from mgca_mm.registry import DATASETS
from tests.conftest import ROOT


@pytest.fixture(scope="module", params=["paper", "released"])
def data(request, prepared, tmp_path_factory):
    if request.param == "paper":
        return prepared / "data"
    out = tmp_path_factory.mktemp("released") / "data"
    prepare("mimic_cxr", prepared / "raw", out, Options(image_size=128, vocab_size=1000, protocol="released"))
    return out


@pytest.mark.parametrize("config", ["released_vit", "released_resnet50"])
def test_validation_and_test_pairs_are_merged_once(config, data, prepared):
    options = dict(data_root=str(data), text_model=str(prepared / "text_model"))
    cfg = configure_run(str(ROOT / "configs/mgca" / f"{config}.py"), options, splits=("train", "val"))
    init_default_scope("mgca_mm")
    cfg.val_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    batches = list(Runner.build_dataloader(cfg.val_dataloader, seed=0))
    found = [sample.image_id for batch in batches for sample in batch["data_samples"]]
    splits = [
        DATASETS.build(
            {**cfg.train_dataloader.dataset, "data_root": str(prepared / "data"), "ann_file": f"{split}.json"}
        )
        for split in ("val", "test")
    ]
    expected = [dataset.get_data_info(index)["image_id"] for dataset in splits for index in range(len(dataset))]
    assert all(len(dataset) for dataset in splits) and sorted(found) == sorted(expected)


def test_a_split_without_pairs_is_told(data):
    dataset = dict(type="ImageReportDataset", data_root=str(data), ann_file="test.json", pipeline=[])
    if data.parent.name.startswith("released"):
        with pytest.raises(UserError, match=r"test\.json' holds no sample.*\n.*val\.json"):
            DATASETS.build(dataset)
    else:
        assert len(DATASETS.build(dataset)) > 0
