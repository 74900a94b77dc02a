"""Data sets: preparation from raw files, the phantom, and what feeds a model.

Nothing is imported here, so that ``mgca_mm.preparation`` and ``.phantom`` start without torch.
"""
