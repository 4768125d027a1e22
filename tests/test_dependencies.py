"""Packages that ktune imports are declared, not merely installed by other packages."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported_packages():
    """Return the top packages that `ktune` imports, each with a file that does so."""
    found = {}
    for path in sorted((ROOT / "ktune").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in modules_of(node):
                found.setdefault(module.split(".")[0], path.relative_to(ROOT))
    own = {*sys.stdlib_module_names, "ktune"}
    return {name: path for name, path in found.items() if name not in own}


def modules_of(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


def declared_distributions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {normal(re.match(r"[\w.-]+", line).group()) for line in lines}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("package", "file"), imported_packages().items())
def test_an_imported_package_is_declared(package, file):
    distributions = packages_distributions().get(package, [package])
    declared = declared_distributions()
    assert any(normal(name) in declared for name in distributions), file
