"""How numbers are said to people, by every program alike."""


def some(number: int, noun: str, several: str = "") -> str:
    """Return a number with its noun; `several` where the plural is not made by an ``s``.

    >>> some(1, "agent"), some(2, "agent"), some(0, "bus", "buses")
    ('1 agent', '2 agents', '0 buses')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {several or noun + 's'}"
