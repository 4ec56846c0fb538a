"""Returns its input, as a function of the Python runtime."""


def handle(input):
    return input
