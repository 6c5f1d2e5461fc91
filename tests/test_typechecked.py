"""The package's types are checked while its tests run, in the first calls of each."""

import pytest
import typechecked
from jaxtyping import TypeCheckError

from neuronlab.models.residues import upper


@pytest.mark.parametrize("again", [False, True])
def test_a_wrong_type_is_an_error_in_the_first_calls_of_each_test(again):
    for _ in range(typechecked.CALLS):
        with pytest.raises(TypeCheckError):
            upper(7)
    with pytest.raises(AttributeError):
        upper(7)
