"""The precision of products in a spec: float32 is not written, so that older keys hold."""

from typing import Annotated

from pydantic import Field

from neuronlab.models.precision import Precision

Products = Annotated[Precision, Field(exclude_if=lambda precision: precision == "float32")]
