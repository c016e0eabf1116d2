"""Compiles the path of a request into the wheel, ahead of time, when PROXYGUARD_COMPILE=1 is set; otherwise the wheel is pure.

The modules are those of `[tool.proxyguard] compiled` in pyproject.toml. mypyc checks them with the mypy options of that file and
translates them to C. The results lie beside the sources in the wheel, where Python prefers them; the source tree stays as it was.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "PROXYGUARD_COMPILE"
GROUP = "proxyguard"  # names the one library that holds all modules: proxyguard__mypyc


class CompiledRequestPath(BuildHookInterface[Any]):
    """Adds the compiled modules to a wheel that is to be installed."""

    PLUGIN_NAME = "custom"
    _work: tempfile.TemporaryDirectory[str] | None = None  # until the wheel is written, or a fault ends this process

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder of its own and name the results to the builder. Exits with what is missing or wrong."""
        wanted = os.environ.get(VARIABLE, "")
        if wanted not in ("", "0", "1"):
            raise SystemExit(f"error: {VARIABLE}: expected 1 or 0, not {wanted!r}")
        if wanted != "1" or version == "editable":
            return
        self._work = tempfile.TemporaryDirectory(prefix="proxyguard-compile-")
        root, work = Path(self.root), Path(self._work.name)
        for library in compiled(root, compiled_modules(root), work):
            build_data["force_include"][str(library)] = str(library.relative_to(work / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's signature
        """Remove what was compiled: the wheel holds it now."""
        if self._work is not None:
            self._work.cleanup()


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
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise SystemExit(f"error: {VARIABLE}=1 needs a C compiler, {compiler}: apt-get install gcc libc6-dev")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise SystemExit(f"error: {VARIABLE}=1 needs {header}: apt-get install python3-dev")
    try:
        import setuptools  # noqa: PLC0415  a pure wheel is built without it
        from mypyc.build import mypycify  # noqa: PLC0415  as above
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415  as above
    except ImportError as error:
        raise SystemExit(f"error: {VARIABLE}=1 needs {error.name}: pip install -r requirements/build.txt") from error

    class Build(build_ext):
        """Compiles the C files of a library side by side too, as `--parallel` does with libraries."""

        def build_extensions(self) -> None:
            compile_one_by_one = self.compiler.compile

            def compile_all(sources: list[str], **options: Any) -> list[str]:
                largest_first = sorted(sources, key=lambda path: -Path(path).stat().st_size)
                with ThreadPoolExecutor(os.cpu_count()) as threads:
                    objects = list(threads.map(lambda path: compile_one_by_one([path], **options), largest_first))
                return [path for some in objects for path in some]

            self.compiler.compile = compile_all
            super().build_extensions()

    before = Path.cwd()
    os.chdir(root)  # mypy reads its options, and finds the modules' names, from here
    # mypy looks for libraries in all entries but the first, which it takes for the folder of a script.
    sys.path.insert(0, str(root))
    try:
        # A C file for each module halves the time to compile; hidden symbols make calls between them as cheap as within one.
        extensions = mypycify(
            [f"--cache-dir={work / 'cache'}", *modules],
            opt_level="3", debug_level="0", multi_file=True, group_name=GROUP, target_dir=str(work / "c"),
        )  # fmt: skip
        for extension in extensions:
            extension.extra_compile_args += [
                "-fvisibility=hidden", "-fno-semantic-interposition",
                "-Wno-error",  # mypyc asks for -Werror; what a later compiler warns of is no reason to have no image
            ]  # fmt: skip
        setuptools.setup(
            name="proxyguard", packages=[], py_modules=[], ext_modules=extensions, cmdclass={"build_ext": Build},
            script_args=[
                "--quiet", "build_ext", f"--parallel={os.cpu_count()}", f"--build-lib={work / 'lib'}",
                f"--build-temp={work / 'o'}",
            ],
        )  # fmt: skip
    finally:
        sys.path.remove(str(root))
        os.chdir(before)
    return sorted((work / "lib").rglob("*.so"))
