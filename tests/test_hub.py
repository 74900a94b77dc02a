"""The doors of MMEngine's hub and of MIM; what MIM needs of a wheel is in test_wheel.py."""

import subprocess
import sys

import pytest
from mmengine.hub import get_config, get_model
from modelindex.load_model_index import load

import mgca_mm
from tests.conftest import ROOT

NEEDS_BERT = "mgca_mm::mgca/pretrain_vit.py"
SMALL = "mgca_mm::quickstart/pretrain_resnet18.py"


def test_hub_in_a_program_of_its_own(tmp_path):
    """Nothing is registered before, all is afterwards, and a model of the hub encodes as ours does."""
    (tmp_path / "program.py").write_text(
        "import mgca_mm\n"
        "from mmengine.hub import get_config, get_model\n"
        "from mmengine.registry import DefaultScope\n"
        "from mgca_mm import registry, utils\n"
        "assert not registry.MODELS.module_dict and not registry.METRICS.module_dict\n"
        "utils.register_all_modules(init_default_scope=False)\n"
        "assert DefaultScope.get_current_instance() is None\n"
        "names = ['MODELS', 'METRICS', 'DATASETS', 'TRANSFORMS', 'HOOKS', 'RUNNERS', 'LOOPS', 'DATA_SAMPLERS']\n"
        "assert all(getattr(registry, name).module_dict for name in names)\n"
        f"assert get_config('{NEEDS_BERT}').model.type == 'ImageReportPretrainer'\n"
        f"model = get_model('{SMALL}')\n"
        f"assert model.state_dict().keys() == mgca_mm.get_model('{SMALL}').state_dict().keys()\n"
        "assert DefaultScope.get_current_instance() is None\n"
        "utils.register_all_modules()\n"
        "print(DefaultScope.get_current_instance().scope_name, type(model).__name__)\n"
    )
    command = [sys.executable, "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "mgca_mm ImageReportPretrainer"


@pytest.mark.parametrize("name", mgca_mm.list_models("quickstart/*"))
def test_models_that_need_no_other(name):
    model = get_model(f"mgca_mm::{name}.py")
    assert type(model).__name__ == get_config(f"mgca_mm::{name}.py").model.type


def test_no_weights_are_published():
    """What docs/inference.md says of ``pretrained=True``; these lines go when there are weights."""
    assert not [model.name for model in load(str(ROOT / "model-index.yml")).models if model.weights]
    with pytest.raises(AssertionError, match="Cannot find `Weights`"):
        get_model(NEEDS_BERT, pretrained=True)


def test_metafiles_name_models_as_mim_finds_their_configs():
    """MIM looks for a config by its file's name alone, of which setup.py makes one for each config."""
    index = load(str(ROOT / "model-index.yml"))
    index.build_models_with_collections()
    names = {model.name: model.config for model in index.models}
    files = {model.config for model in index.models}
    assert names == {file.removeprefix("configs/").removesuffix(".py").replace("/", "_"): file for file in files}
    pretraining = {f"configs/{name}.py" for name in mgca_mm.list_models() if not name.startswith("quickstart/")}
    assert files <= pretraining
    configs = [path.relative_to(ROOT / "configs").parts for path in (ROOT / "configs").glob("[!_]*/**/*.py")]
    assert len({"_".join(parts) for parts in configs}) == len(configs)
