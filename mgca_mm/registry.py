"""Child registries of MMEngine's under the scope ``mgca_mm``.

``type='mgca_mm.ImageEncoder'`` in any config of the ecosystem imports this module and the locations it names; no
``custom_imports`` is needed.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

DATASETS = Registry("dataset", parent=MMENGINE_DATASETS, scope="mgca_mm", locations=["mgca_mm.datasets.image_report"])
TRANSFORMS = Registry(
    "transform", parent=MMENGINE_TRANSFORMS, scope="mgca_mm", locations=["mgca_mm.datasets.transforms"]
)
MODELS = Registry("model", parent=MMENGINE_MODELS, scope="mgca_mm", locations=["mgca_mm.models"])
METRICS = Registry("metric", parent=MMENGINE_METRICS, scope="mgca_mm", locations=["mgca_mm.evaluation"])
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="mgca_mm", locations=["mgca_mm.engine"])
OPTIM_WRAPPERS = Registry(
    "optim_wrapper", parent=MMENGINE_OPTIM_WRAPPERS, scope="mgca_mm", locations=["mgca_mm.engine"]
)
# Nothing of ours stands in these two; MMEngine warns where a scope lacks a registry that it searches.
PARAM_SCHEDULERS = Registry(
    "parameter scheduler", parent=MMENGINE_PARAM_SCHEDULERS, scope="mgca_mm", locations=["mgca_mm.engine"]
)
WEIGHT_INITIALIZERS = Registry(
    "weight initializer", parent=MMENGINE_WEIGHT_INITIALIZERS, scope="mgca_mm", locations=["mgca_mm.engine"]
)
