import pytest
import torch

from mgca_mm.engine.runner import PrivateRunner


@pytest.mark.parametrize(
    ("device", "env_cfg", "expected"),
    [
        ("cuda", dict(float32_matmul_precision="high"), "high"),
        ("cuda", {}, "medium"),
        ("cpu", dict(float32_matmul_precision="high"), "medium"),
    ],
)
def test_fp32_matrices_are_multiplied_as_the_config_says_on_gpus(monkeypatch, device, env_cfg, expected):
    monkeypatch.setattr("mgca_mm.engine.runner.get_device", lambda: device)
    runner = object.__new__(PrivateRunner)
    runner._distributed = False
    former = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        runner.setup_env(env_cfg)
        assert torch.get_float32_matmul_precision() == expected
    finally:
        torch.set_float32_matmul_precision(former)
