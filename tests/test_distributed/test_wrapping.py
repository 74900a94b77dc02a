"""Gradients that are views of the buckets between the ranks are those of MMEngine's default wrapper, bit for bit."""

import pytest
import torch

from tests.test_faults import runs

from .test_equivalence import launch
from .wrapping import CASES


@pytest.mark.slow
def test_gradients_in_buckets(tmp_path):
    launch(2, "tests/test_distributed/wrapping.py", str(tmp_path / "found.pt"))
    for rank in range(2):
        found = torch.load(tmp_path / f"found.pt.{rank}", weights_only=True)
        assert list(found) == CASES
        for case, ((expected, many), (state, few)) in found.items():
            runs.assert_equal(state, expected, str(case))
            assert len(state["gradients"]) == len(state["losses"]) // case[0]
            assert few < many  # a few buckets instead of a copy of each
