"""Packaging: version ranges, extras, and configs and tools inside the package (``mgca_mm/.mim``) for MIM."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
MIM_FILES = ("configs", "tools", "model-index.yml")


class BuildWithMim(build_py):
    """Copies configs and tools to ``mgca_mm/.mim``, where MIM and ``_base_ = ['mgca_mm::…']`` look for them."""

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


def requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


version: dict[str, str] = {}
exec((ROOT / "mgca_mm" / "version.py").read_text(), version)

setup(
    name="mgca_mm",
    version=version["__version__"],
    description="Multi-granularity cross-modal alignment of radiographs and reports (MGCA), a plugin for MMEngine",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["mgca_mm", "mgca_mm.*"]),
    install_requires=requirements("runtime"),
    extras_require={name: requirements(name) for name in ("dense", "app", "dev")},
    cmdclass={"build_py": BuildWithMim},
)
