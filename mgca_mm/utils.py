"""What MMEngine's hub looks for in every library, under the only name where it looks."""

import mmengine.registry
from mmengine.registry import Registry

import mgca_mm.registry


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register all classes of this package, as ``mmengine.hub.get_model`` asks of every library.

    Args:
        init_default_scope: Make ``mgca_mm`` the default scope, in which a ``type`` without a prefix is ours.
    """
    for registry in vars(mgca_mm.registry).values():
        if isinstance(registry, Registry):
            registry.import_from_location()
    if init_default_scope:
        mmengine.registry.init_default_scope("mgca_mm")
