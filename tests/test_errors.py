"""What an error says to a person who is not in front of the app."""

import pickle
import traceback

from neuronlab.errors import UserError


def test_a_traceback_has_the_details_also_of_an_error_from_another_process():
    error = UserError("One sentence.", details="the parts\nthat are there")
    for each in (error, pickle.loads(pickle.dumps(error))):
        text = "".join(traceback.format_exception(each))
        assert text.endswith("UserError: One sentence.\nthe parts\nthat are there\n")
    assert traceback.format_exception_only(UserError("One sentence."))[0].endswith("sentence.\n")
