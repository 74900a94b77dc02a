import pytest

from mgca_mm.checkpoints.schemes import load_checkpoint
from mgca_mm.errors import UserError


@pytest.mark.parametrize(
    "name",
    ["s3://bucket/weights.pth", "https://host/two words.pth", "http://127.0.0.1:1/weights.pth", "torchvision://none"],
)
def test_what_cannot_be_had_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError) as raised:
        load_checkpoint(name)
    assert str(raised.value).startswith(f"Checkpoint '{name}'")
