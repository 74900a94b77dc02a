"""Child registries of MMEngine's under the scope ``mgca_mm``.

``type='mgca_mm.ImageEncoder'`` in any config of the ecosystem imports this module and the locations it names; no
``custom_imports`` is needed.
"""

import mmengine.registry as mmengine
from mmengine.registry import Registry


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope="mgca_mm", locations=[f"mgca_mm.{name}" for name in locations])


DATASETS = _child(mmengine.DATASETS, "datasets.image_report", "datasets.classification", "datasets.grounding")
TRANSFORMS = _child(mmengine.TRANSFORMS, "datasets.transforms")
MODELS = _child(mmengine.MODELS, "models", "models.dense")
METRICS = _child(mmengine.METRICS, "evaluation")
HOOKS = _child(mmengine.HOOKS, "engine")
RUNNERS = _child(mmengine.RUNNERS, "engine")
OPTIM_WRAPPERS = _child(mmengine.OPTIM_WRAPPERS, "engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmengine.OPTIM_WRAPPER_CONSTRUCTORS, "engine")

DATA_SAMPLERS = _child(mmengine.DATA_SAMPLERS, "datasets.samplers")
LOOPS = _child(mmengine.LOOPS, "engine")

# Nothing of ours stands in these; MMEngine warns of a scope that lacks a registry which it searches.
LOG_PROCESSORS = _child(mmengine.LOG_PROCESSORS, "engine")
MODEL_WRAPPERS = _child(mmengine.MODEL_WRAPPERS, "engine")
OPTIMIZERS = _child(mmengine.OPTIMIZERS, "engine")
PARAM_SCHEDULERS = _child(mmengine.PARAM_SCHEDULERS, "engine")
VISBACKENDS = _child(mmengine.VISBACKENDS, "engine")
VISUALIZERS = _child(mmengine.VISUALIZERS, "engine")
WEIGHT_INITIALIZERS = _child(mmengine.WEIGHT_INITIALIZERS, "engine")
