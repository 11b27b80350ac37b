"""Passwords and tokens: what is kept of them, so that a stolen database opens no door.

Passwords are hashed by scrypt, slow on purpose.  Session tokens and API keys are long
and random, so one SHA-256 is enough for them.
"""

import base64
import hashlib
import hmac
import secrets

_COST, _BLOCK, _PARALLEL = 2**13, 8, 1
_TOKEN_BYTES = 32

API_KEY_PREFIX = "hub_"


def hash_password(password: str, *, salt: bytes | None = None) -> str:
    """Return what to store; takes some 20 ms, so call it off the event loop."""
    salt = salt or secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)
    return f"scrypt:{_COST}:{_BLOCK}:{_PARALLEL}:{_text(salt)}:{_text(digest)}"


def password_matches(password: str, stored: str) -> bool:
    """Tell whether *password* was hashed to *stored*; as slow as hashing."""
    _, cost, block, parallel, salt, digest = stored.split(":")
    actual = hashlib.scrypt(
        password.encode(), salt=_bytes(salt), n=int(cost), r=int(block), p=int(parallel)
    )
    return hmac.compare_digest(actual, _bytes(digest))


def new_session_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def new_api_key() -> str:
    """Return a key that nobody can guess, recognisable as one of ours."""
    return API_KEY_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """Return what is stored of a session token or an API key."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)
