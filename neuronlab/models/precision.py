"""How exact a model's products are: less exact ones take less time where the processor has them."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def products(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which products are that exact; what is added up between them stays as it is.

    It is for passes without gradients.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
