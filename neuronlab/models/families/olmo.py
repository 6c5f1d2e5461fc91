"""OLMo, and what norms the branches of a block but not what they read."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Part, Places


class Olmo(Family):
    """Its norms have no weights."""

    def norm_epsilon(self, norm: Part) -> float:
        """Written into the norm's code."""
        return 1e-5


OLMO = Olmo(name="olmo", title="OLMo", model_types=("olmo",), centred=True)
OLMO2_PLACES = replace(
    Places(),
    input_norms=("", ""),
    branch_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
)
OLMO2 = Family(
    name="olmo2",
    title="OLMo 2 and 3, and EXAONE 4",
    model_types=("olmo2", "olmo3", "exaone4"),
    places=OLMO2_PLACES,
)
