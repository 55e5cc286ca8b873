"""Owns how a measurement says that it cannot go on."""


class Failure(Exception):
    """What is wrong and what to do about it, in words for the person at the terminal."""
