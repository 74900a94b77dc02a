"""Names by which configs of other libraries find what is ours."""

import importlib
import subprocess
import sys

from mmengine.registry import Registry

import mgca_mm.registry

REGISTRIES = {name: value for name, value in vars(mgca_mm.registry).items() if isinstance(value, Registry)}


def test_every_location_can_be_imported():
    assert len(REGISTRIES) > 5
    for registry in REGISTRIES.values():
        assert registry.scope == "mgca_mm" and registry.parent is not None
        for location in registry._locations:
            importlib.import_module(location)


def test_a_scope_prefix_alone_is_enough():
    """As from a config of another library: nothing of ours is imported before, nothing of MMEngine's is replaced."""
    code = (
        "from mmengine.registry import MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS\n"
        "for r, n in ((MODELS, 'Projector'), (DATASETS, 'ImageReportDataset'), (TRANSFORMS, 'LoadRadiograph'),"
        " (METRICS, 'ImageReportRetrieval'), (HOOKS, 'FreezePrototypesHook')):\n"
        "    assert r.get('mgca_mm.' + n) is not None, n\n"
        "assert HOOKS.get('CheckpointHook').__module__.startswith('mmengine.')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
