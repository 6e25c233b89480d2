"""The two errors whose message is for the user: a wrong input, and a model not to be shipped."""


class InputError(ValueError):
    """The user gave something that does not fit.

    Its message is one line: what was expected, what came, what to do. Commands
    print it and end with exit code 2.
    """


class ExportError(RuntimeError):
    """A converted model that must not be shipped.

    Its message is one line: what is wrong, in which layer, and the remedy.
    """
