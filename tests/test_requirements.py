"""Every package is pinned, also those that the pinned ones need; the pins lie in our ranges."""

import ast
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def versions(name):
    """Name and specifier of each requirement of a file that this system needs."""
    text = (ROOT / name).read_text("utf-8")
    lines = [line.split(" \\")[0] for line in text.splitlines()]
    return specifiers(one for one in lines if one and one[0] not in "#- ")


def specifiers(lines):
    read = [Requirement(one) for one in lines]
    needed = [one for one in read if one.marker is None or one.marker.evaluate()]
    return {canonicalize_name(one.name): one.specifier for one in needed}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-ray.txt"]
)
def test_what_is_required_is_what_is_constrained(name):
    constrained = versions("constraints.txt")
    for package, specifier in versions(name).items():
        (pin,) = specifier
        assert pin.operator == "=="
        assert constrained[package] == specifier


@pytest.mark.parametrize(
    ("name", "extra"),
    [("requirements.txt", None), ("requirements-ray.txt", "ray"), ("requirements-dev.txt", "dev")],
)
def test_every_pin_lies_in_the_packages_range(name, extra):
    listed = project()["optional-dependencies"][extra] if extra else project()["dependencies"]
    pins, ranges = versions(name), specifiers(listed)
    ranges.pop("neuronlab", None)  # an extra that includes another
    assert ranges.keys() == pins.keys()
    for package, specifier in pins.items():
        (pin,) = specifier
        assert ranges[package].contains(pin.version), package
        assert {one.operator for one in ranges[package]} == {">=", "<"}


# Folding asks a person to install these, and says how; pydantic brings its core.
ASKED_FOR = {"antiberty", "igfold", "pydantic-core"}
IMPORTED_AS = {"bio": "biopython", "pil": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}


@pytest.mark.long
def test_every_package_that_is_imported_is_required():
    parsed = [
        node
        for folder in ("neuronlab", "pages")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
    ]
    modules = [name.name for each in parsed if isinstance(each, ast.Import) for name in each.names]
    modules += [each.module for each in parsed if isinstance(each, ast.ImportFrom) and each.module]
    outside = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
    packages = {canonicalize_name(each) for each in outside - {"neuronlab", "pages", "dashboard"}}
    packages = {IMPORTED_AS.get(each, each) for each in packages}
    assert "transformers" in packages
    assert (
        packages <= {*versions("requirements.txt"), *versions("requirements-ray.txt")} | ASKED_FOR
    )


def test_hashes_are_of_the_constrained_versions():
    constrained, hashed = versions("constraints.txt"), versions("requirements-hashed.txt")
    assert hashed.items() <= constrained.items()
    assert versions("requirements.txt").items() <= hashed.items()
    text = (ROOT / "requirements-hashed.txt").read_text("utf-8")
    assert text.count("--hash=sha256:") > len(hashed)


def test_what_is_installed_is_what_is_constrained():
    """A build of the right version will do, such as torch's for processors."""
    constrained = versions("constraints.txt")
    for package in distributions():
        name = canonicalize_name(package.metadata["Name"])
        if name in constrained:
            assert constrained[name].contains(package.version, prereleases=True), name
