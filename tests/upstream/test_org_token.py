"""The organization token: only ours, only while it lasts, through a change of keys."""

import base64
import json
import stat
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from upstream.errors import StartFailed
from upstream.org_token import Claims, TokenSigner

NOW = 1_800_000_000.0


def test_a_token_says_who_and_where_and_until_when(tmp_path: Path) -> None:
    signer = TokenSigner.open(tmp_path)

    token = signer.issue(user_id=7, org_id=9, now=NOW)

    assert signer.verify(token, now=NOW) == Claims(user_id=7, org_id=9, expires_at=NOW + 3600)


def test_the_key_set_that_is_written_holds_no_private_part(tmp_path: Path) -> None:
    signer = TokenSigner.open(tmp_path)

    written = (tmp_path / "jwks.json").read_bytes()
    (key,) = json.loads(written)["keys"]

    assert written == signer.key_set()
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert stat.S_IMODE((tmp_path / "jwks.json").stat().st_mode) & 0o022 == 0


def test_a_second_start_signs_with_the_same_key(tmp_path: Path) -> None:
    token = TokenSigner.open(tmp_path).issue(user_id=1, org_id=1, now=NOW)

    assert TokenSigner.open(tmp_path).verify(token, now=NOW) is not None


def test_after_a_rotation_the_newest_key_signs_and_older_ones_still_count(tmp_path: Path) -> None:
    old = TokenSigner.open(tmp_path / "a")
    TokenSigner.open(tmp_path / "b")
    (tmp_path / "b/keys/0001.pem").rename(tmp_path / "a/keys/0002.pem")

    rotated = TokenSigner.open(tmp_path / "a")

    before = old.issue(user_id=1, org_id=1, now=NOW)
    after = rotated.issue(user_id=1, org_id=1, now=NOW)
    assert len(json.loads(rotated.key_set())["keys"]) == 2
    assert rotated.verify(before, now=NOW) is not None
    assert rotated.verify(after, now=NOW) is not None
    assert old.verify(after, now=NOW) is None


def test_an_expired_token_says_nothing(tmp_path: Path) -> None:
    signer = TokenSigner.open(tmp_path)

    token = signer.issue(user_id=1, org_id=1, now=NOW)

    assert signer.verify(token, now=NOW + 3599) is not None
    assert signer.verify(token, now=NOW + 3600) is None


def test_a_forged_token_says_nothing(tmp_path: Path) -> None:
    signer = TokenSigner.open(tmp_path / "ours")
    theirs = TokenSigner.open(tmp_path / "theirs")
    token = signer.issue(user_id=1, org_id=1, now=NOW)
    head, claims, signature = token.split(".")
    kid = jwt.get_unverified_header(token)["kid"]
    other = base64.urlsafe_b64encode(b'{"org_id":"2"}').decode().rstrip("=")
    forgeries = [
        "",
        "x",
        "a.b.c",
        f"{head}.{claims}.",
        f"{head}.{other}.{signature}",
        theirs.issue(user_id=1, org_id=1, now=NOW),
        jwt.encode(
            {"iss": "hub", "sub": "1", "org_id": "1", "exp": NOW + 60}, "", "none", {"kid": kid}
        ),
        jwt.encode(
            {"iss": "hub", "sub": "1", "org_id": "1", "exp": NOW + 60},
            "k" * 32,
            "HS256",
            {"kid": kid},
        ),
    ]

    assert [signer.verify(forgery, now=NOW) for forgery in forgeries] == [None] * len(forgeries)


@pytest.mark.parametrize("content", [b"", b"not a key"])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/0001.pem").write_bytes(content)

    with pytest.raises(StartFailed, match=r"0001\.pem: not a private key"):
        TokenSigner.open(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/0001.pem").write_bytes(pem)

    with pytest.raises(StartFailed, match="expected an Ed25519 key"):
        TokenSigner.open(tmp_path)
