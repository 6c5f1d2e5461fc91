"""What runs on a processor hide: every tensor says where it is made, and how exact it is.

A tensor that says nothing is made on the processor, of the process's default type; a model on
another device, or of another type, then fails or rounds silently.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "neuronlab"
FACTORIES = {
    *("arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "normal", "ones"),
    *("rand", "randint", "randn", "randperm", "tensor", "zeros"),
}


def missing(source):
    """(line, what is wrong) of every call that leaves a device or a type unsaid."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("torch.set_default"):
            found.append((node.lineno, "changes the defaults of the whole process"))
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, said = node.func.attr, {keyword.arg for keyword in node.keywords}
        if ast.unparse(node.func.value) == "torch":
            needed = {"device", "dtype"} if name in FACTORIES else set()
            needed = {"device"} if name == "Generator" else needed
            if needed - said:
                found.append((node.lineno, f"torch.{name} without {needed - said}"))
        if name == "numpy" and "force" not in said:
            found.append((node.lineno, "numpy() without force=True fails on another device"))
        if name == "cuda":
            found.append((node.lineno, "cuda() ignores the device that was chosen"))
    return found


# The one place that may touch the process's default: it puts it back.
RESTORES = "neuronlab/models/exclusion.py"


@pytest.mark.parametrize(
    "path",
    sorted([*PACKAGE.rglob("*.py"), *(ROOT / "pages").rglob("*.py")]),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_every_tensor_says_where_and_how_exact_it_is(path):
    found = missing(path.read_text("utf-8"))
    if str(path.relative_to(ROOT)) == RESTORES:
        found = [one for one in found if "defaults" not in one[1]]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.zeros(3)",
        "torch.zeros(3, device=d)",
        "torch.tensor([1], dtype=torch.long)",
        "torch.Generator()",
        "x.cpu().numpy()",
        "x.cuda()",
        "torch.set_default_dtype(torch.float64)",
    ],
)
def test_the_scan_sees_what_it_looks_for(source):
    assert len(missing(source)) == 1
    assert missing("torch.zeros(3, device=d, dtype=t); x.numpy(force=True); zeros(3)") == []
