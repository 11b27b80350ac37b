"""The demo data: fictitious companies, and a few people that anybody can log in as.

The rows are written by ``seed.sql`` and ``articles.sql``, inside the database.
"""

import hashlib
from importlib.resources import files

from upstream import passwords

DEMO_PASSWORD = "demo-password"  # noqa: S105 - public on purpose
DEMO_EMAILS = ("ada@acme.test", "ben@acme.test", "grace@globex.test", "alan@initech.test")


def seed_sql() -> str:
    """Return the script that fills an empty database; the same text on every call."""
    package = files("upstream")
    # One salt for all of them: the password is public, and every start saves a second.
    salt = hashlib.sha256(b"the demo data's salt").digest()[:16]
    hashed = passwords.hash_password(DEMO_PASSWORD, salt=salt)
    rows = package.joinpath("seed.sql").read_text().replace("$password$", hashed)
    return rows + package.joinpath("articles.sql").read_text()
