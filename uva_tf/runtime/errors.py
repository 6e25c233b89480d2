"""The one error that stands for a user's mistake."""


class InputError(ValueError):
    """Something the user gave does not fit.

    Its message is one line: what was expected, what came, what to do. Commands
    print it and end with exit code 2.
    """
