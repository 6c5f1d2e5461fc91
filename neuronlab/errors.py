"""The error whose text is meant for a person."""


class UserError(Exception):
    """An error whose text is one sentence meant for the person in front of the screen."""

    def __init__(self, message: str = "", *, details: str = "") -> None:
        super().__init__(message)
        self.details = details
