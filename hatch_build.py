"""Compiles the path of a request into the wheel, ahead of time, when PROXYGUARD_COMPILE=1 is set; otherwise the wheel is pure.

The modules are those of `[tool.proxyguard] compiled` in pyproject.toml. mypyc checks them with the mypy options of that file and
translates them to C. The results lie beside the sources in the wheel, where Python prefers them; the source tree stays as it was.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "PROXYGUARD_COMPILE"
GROUP = "proxyguard"  # names the one library that holds all modules: proxyguard__mypyc


class CompiledRequestPath(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel that is to be installed."""

    PLUGIN_NAME = "custom"
    _work: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder of its own and name the results to the builder. Exits with what is missing or wrong."""
        wanted = os.environ.get(VARIABLE, "")
        if wanted not in ("", "0", "1"):
            raise SystemExit(f"error: {VARIABLE}: expected 1 or 0, not {wanted!r}")
        if wanted != "1" or version == "editable":
            return
        self._work = Path(tempfile.mkdtemp(prefix="proxyguard-compile-"))
        root = Path(self.root)
        for library in compiled(root, compiled_modules(root), self._work):
            build_data["force_include"][str(library)] = str(library.relative_to(self._work / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's signature
        """Remove what was compiled: the wheel holds it now."""
        if self._work is not None:
            shutil.rmtree(self._work)


def compiled_modules(root: Path) -> list[str]:
    """Paths of the modules to compile, relative to `root`. Exits when a pattern of the list finds none."""
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["proxyguard"]["compiled"]
    found: set[str] = set()
    for pattern in patterns:
        paths = {str(path.relative_to(root)) for path in root.glob(pattern)}
        if not paths:
            raise SystemExit(f"error: pyproject.toml: [tool.proxyguard] compiled: {pattern!r} finds no file")
        found |= paths
    return sorted(found)


def compiled(root: Path, modules: list[str], work: Path) -> list[Path]:
    """Compile modules of `root` into `work`/lib; the libraries there. Exits when a tool is missing or a module has a fault."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(os.environ.get("CC", compiler).split()[0]) is None:
        raise SystemExit(f"error: {VARIABLE}=1 needs a C compiler, {compiler}: apt-get install gcc libc6-dev")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise SystemExit(f"error: {VARIABLE}=1 needs {header}: apt-get install python3-dev")
    try:
        import setuptools  # noqa: PLC0415  a pure wheel is built without it
        from mypyc.build import mypycify  # noqa: PLC0415  as above
    except ImportError as error:
        raise SystemExit(f"error: {VARIABLE}=1 needs {error.name}: pip install -r requirements/build.txt") from error
    before = Path.cwd()
    os.chdir(root)  # mypy reads its options, and finds the modules' names, from here
    try:
        extensions = mypycify(
            [f"--cache-dir={work / 'cache'}", *modules],
            opt_level="3", debug_level="0", group_name=GROUP, target_dir=str(work / "c"),
        )  # fmt: skip
        setuptools.setup(
            name="proxyguard", packages=[], py_modules=[], ext_modules=extensions,
            script_args=["--quiet", "build_ext", f"--build-lib={work / 'lib'}", f"--build-temp={work / 'o'}"],
        )  # fmt: skip
    finally:
        os.chdir(before)
    return sorted((work / "lib").rglob("*.so"))
