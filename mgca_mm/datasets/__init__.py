"""Data sets of prepared folders, their transforms and samplers."""
