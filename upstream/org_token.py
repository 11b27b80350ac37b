"""The organization token: a signed statement of who asks, for whoever stands before the hub.

A JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037).  The private key never leaves
the state directory; its public half is published at ``/.well-known/jwks.json`` and
written to ``jwks.json`` beside it.

Keys are rotated: a new one is made each month, or by ``python -m upstream rotate-keys``.  It
is published for an hour before it signs, so that whoever keeps the key set has it by then;
the one before it stays published until the last of its tokens has run out.  How old a key is
tells its file's date, so all hubs that share a state directory come to the same answer.
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

ROTATE_AFTER = 30 * 86400.0
"""Seconds after which a key gets a successor."""
PUBLISHED_BEFORE = 3600.0
"""Seconds for which a successor is published before it signs."""

KEY_SET_FILE = "jwks.json"


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
    made_at: float
    """Seconds since the epoch."""
    file: Path

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public half as a member of a key set (RFC 8037 section 2)."""
        return _jwk(self.private) | {"kid": self.key_id, "alg": ALGORITHM, "use": "sig"}


class TokenSigner:
    """Issues and verifies organization tokens."""

    def __init__(self, state_dir: Path, now: float) -> None:
        """Load the keys in *state_dir*, creating the first; write the public key set there."""
        self._state_dir = state_dir
        self._keys: dict[str, SigningKey] = {}
        self._published = b""
        self.keep_fresh(now)

    def keep_fresh(self, now: float) -> None:
        """See to the keys as of *now*: make the next, let it sign, drop what nobody needs.

        Called again and again, so that a key somebody else made is noticed too.  Raises
        StartFailed when a key can't be read or written.
        """
        folder = self._state_dir / "keys"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            keys = _keys_in(folder)
            if not keys or keys[-1].made_at <= now - ROTATE_AFTER:
                make_key(self._state_dir, now)
                keys = _keys_in(folder)
            keys, useless = _sorted_out(keys, now)
            for key in useless:
                key.file.unlink(missing_ok=True)
            self._keys = {key.key_id: key for key in keys}
            self._signs = _signing(keys, now)
            if (published := self.key_set()) != self._published:
                _replace(self._state_dir / KEY_SET_FILE, published, mode=0o644)
                self._published = published
        except OSError as error:
            raise StartFailed(f"keys of the organization token: {error}") from error

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


def make_key(state_dir: Path, now: float) -> Path:
    """Put a key made at *now* beside those in *state_dir*; return its file.  Raises OSError."""
    folder = state_dir / "keys"
    numbers = [int(file.stem) for file in folder.glob("*.pem") if file.stem.isdigit()]
    file = folder / f"{max(numbers, default=0) + 1:04}.pem"
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _replace(file, pem, mode=0o600)
    os.utime(file, (now, now))
    return file


def _keys_in(folder: Path) -> list[SigningKey]:
    """Return the keys, oldest first; of one date, by name."""
    keys = [_load_key(file) for file in sorted(folder.glob("*.pem"))]
    return sorted(keys, key=lambda key: key.made_at)


def _sorted_out(keys: list[SigningKey], now: float) -> tuple[list[SigningKey], list[SigningKey]]:
    """Part *keys* into those that count and those whose last token has run out.

    A key has signed until its successor took over, and its tokens lasted for LIFETIME more.
    """
    count: list[SigningKey] = [keys[-1]]
    useless: list[SigningKey] = []
    for key, successor in zip(reversed(keys[:-1]), reversed(keys[1:]), strict=True):
        signed_until = successor.made_at + PUBLISHED_BEFORE
        (useless if signed_until + LIFETIME < now else count).append(key)
    return count[::-1], useless


def _signing(keys: list[SigningKey], now: float) -> SigningKey:
    """Return the newest key that everybody knows by now."""
    known = [key for key in keys if key.made_at + PUBLISHED_BEFORE <= now]
    return known[-1] if known else keys[0]


def _load_key(file: Path) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise StartFailed(f"{file}: not a private key in PEM: {error}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StartFailed(f"{file}: expected an Ed25519 key, found another kind")
    members = _jwk(private)
    canonical = msgspec.json.encode(dict(sorted(members.items())))
    key_id = _base64url(hashlib.sha256(canonical).digest())
    return SigningKey(key_id, private, file.stat().st_mtime, file)


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
