"""Configs and tools inside the package (``mgca_mm/.mim``) for MIM; all else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_FILES = ("configs", "tools", "model-index.yml")


class BuildWithMim(build_py):
    """Copies configs and tools to ``mgca_mm/.mim``, where MIM and ``_base_ = ['mgca_mm::…']`` look for them.

    MIM looks for a config by the file's name alone, which several methods share: each gets a file of a name of its own,
    ``mgca_pretrain_vit.py`` for ``mgca/pretrain_vit.py``, as the models are called in the metafiles.
    """

    def run(self):
        super().run()
        mim = (ROOT / "mgca_mm" if self.editable_mode else Path(self.build_lib) / "mgca_mm") / ".mim"
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_FILES:
            source = ROOT / name
            if self.editable_mode:
                (mim / name).symlink_to(Path("../..") / name)
            elif source.is_dir():
                shutil.copytree(source, mim / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, mim / name)
        (mim / "by_name").mkdir()
        for config in (ROOT / "configs").glob("[!_]*/**/*.py"):
            name = config.relative_to(ROOT / "configs")
            (mim / "by_name" / "_".join(name.parts)).write_text(f"_base_ = '../configs/{name.as_posix()}'\n")


setup(cmdclass={"build_py": BuildWithMim})
