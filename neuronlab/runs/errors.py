"""Errors whose text is one sentence meant for the person in front of the screen."""

from neuronlab.errors import UserError


class UnreadableResult(UserError, ValueError):
    """A stored result that is damaged, incomplete or not readable."""


class MissingResult(UserError, KeyError):
    """There is no stored result under this key."""

    # KeyError would show the sentence in quotes.
    __str__ = Exception.__str__
