"""A PostgreSQL database's URL as people may see it."""

from urllib.parse import urlsplit


def name_of(url: str) -> str:
    """Return a database's URL without password and options, for sentences and logs.

    >>> name_of("postgresql://outstation:secret@db.example:5432/fleet?sslmode=verify-full")
    'postgresql://outstation@db.example:5432/fleet'
    """
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    return f"postgresql://{user}{'@' if user else ''}{host}{parts.path}"
