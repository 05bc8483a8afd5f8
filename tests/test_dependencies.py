"""What pyproject.toml asks for at run time is what the code imports, no more and no less."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"audit", "principles", "report_templates"}
MODULES = {  # where a distribution's module has another name
    "open-clip-torch": "open_clip",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "grad-cam": "pytorch_grad_cam",
}
COMES_WITH = {
    "huggingface_hub": "open-clip-torch",
    "markupsafe": "jinja2",
    "timm": "open-clip-torch",
    "torchvision": "open-clip-torch",
}
# Imported where a file needs it, where missing a message says so; or by pytest itself.
ASKED_FOR = {"tokenizers", "pytest"}


def distributions(requirements):
    names = {re.match(r"[\w.-]+", line)[0] for line in requirements}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def modules(requirements):
    return {MODULES.get(d, d.replace("-", "_")) for d in distributions(requirements)}


def imported():
    found = set()
    for folder in OWN:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module)
    return {name.split(".")[0] for name in found} - OWN - sys.stdlib_module_names


def test_every_run_time_dependency_is_imported():
    assert modules(PROJECT["dependencies"]) - imported() == set()


def test_every_import_is_a_dependency_or_of_an_extra():
    extras = PROJECT["optional-dependencies"]
    optional = [
        one for name in ("adapters", "hf", "coco", "datasets", "ray") for one in extras[name]
    ]
    allowed = modules([*PROJECT["dependencies"], *optional]) | ASKED_FOR
    allowed |= {m for m, d in COMES_WITH.items() if d in distributions(PROJECT["dependencies"])}
    assert imported() - allowed == set()


@pytest.mark.parametrize(
    "name",
    ["beartype", "captum", "grad-cam", "quantus", "tokenizers", "torchmetrics", "transformers"],
)
def test_the_test_command_installs_every_oracle(name):
    assert name in distributions(PROJECT["optional-dependencies"]["test"])


def test_python_versions_agree():
    lowest = PROJECT["requires-python"].removeprefix(">=")
    tried = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert tried[0] == lowest
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["target-version"]
    assert ruff == "py" + lowest.replace(".", "")
