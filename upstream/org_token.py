"""The organization token: a signed statement of who asks, for whoever stands before the hub.

A JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037).  The private key never leaves
the state directory; its public half is published at ``/.well-known/jwks.json`` and
written to ``jwks.json`` beside it.  Every key found is published, the newest one signs,
so that a key can be rotated while tokens of the old one are still about.
"""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upstream.errors import StartFailed

ALGORITHM = "EdDSA"
ISSUER = "hub"
LIFETIME = 3600
"""Seconds; short, because a token can't be called back."""
RENEW_BELOW = 1800
"""A token with fewer seconds left is replaced when the session is looked at."""

KEY_SET_FILE = "jwks.json"
_FIRST_KEY = "0001.pem"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once its signature and its time have been verified."""

    user_id: int
    org_id: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair; *key_id* is the thumbprint of its public half (RFC 7638)."""

    key_id: str
    private: Ed25519PrivateKey

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a member of a key set (RFC 8037 section 2)."""
        return _jwk(self.private) | {"kid": self.key_id, "alg": ALGORITHM, "use": "sig"}


class TokenSigner:
    """Issues and verifies organization tokens."""

    def __init__(self, keys: list[SigningKey]) -> None:
        """Sign with the last of *keys*, accept all of them."""
        self._keys = {key.key_id: key for key in keys}
        self._signs = keys[-1]

    @classmethod
    def open(cls, state_dir: Path) -> "TokenSigner":
        """Load the keys in *state_dir*, creating the first; write the public key set there."""
        folder = state_dir / "keys"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not any(folder.glob("*.pem")):
                _create_key(folder / _FIRST_KEY)
            signer = cls([_load_key(file) for file in sorted(folder.glob("*.pem"))])
            _replace(state_dir / KEY_SET_FILE, signer.key_set(), mode=0o644)
        except OSError as error:
            raise StartFailed(f"keys of the organization token: {error}") from error
        return signer

    def key_set(self) -> bytes:
        """Return the public keys as a JWK Set (RFC 7517 section 5)."""
        return msgspec.json.encode({"keys": [key.public_jwk for key in self._keys.values()]})

    def issue(self, *, user_id: int, org_id: int, now: float) -> str:
        """Return a token for *user_id* acting in *org_id*."""
        claims = {
            "iss": ISSUER,
            "sub": str(user_id),
            "org_id": str(org_id),
            "iat": int(now),
            "exp": int(now) + LIFETIME,
        }
        return jwt.encode(
            claims, self._signs.private, ALGORITHM, headers={"kid": self._signs.key_id}
        )

    def verify(self, token: str, *, now: float) -> Claims | None:
        """Return what *token* says; None unless it is ours and valid at *now*."""
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                # The instant is ours to compare: the library would ask its own clock.
                options={
                    "require": ["iss", "sub", "org_id", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            said = Claims(int(claims["sub"]), int(claims["org_id"]), float(claims["exp"]))
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
        return said if now < said.expires_at else None


def _create_key(file: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _replace(file, pem, mode=0o600)


def _load_key(file: Path) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise StartFailed(f"{file}: not a private key in PEM: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StartFailed(f"{file}: expected an Ed25519 key, found another kind")
    members = _jwk(private)
    canonical = msgspec.json.encode(dict(sorted(members.items())))
    return SigningKey(_base64url(hashlib.sha256(canonical).digest()), private)


def _jwk(private: Ed25519PrivateKey) -> dict[str, str]:
    raw = private.public_key().public_bytes_raw()
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _replace(file: Path, content: bytes, *, mode: int) -> None:
    """Write *file* so that nobody ever sees a half of it, or sees it with a wider mode."""
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    partial.replace(file)


def private_secret(file: Path, make: Any) -> str:
    """Return the secret kept in *file*, made by *make* the first time."""
    try:
        if not file.exists():
            _replace(file, make().encode(), mode=0o600)
        return file.read_text().strip()
    except OSError as error:
        raise StartFailed(f"{file}: {error}") from error
