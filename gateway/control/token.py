"""The admin token: what proves an operator."""

import os
from pathlib import Path

from gateway.errors import ConfigurationError

_SHORTEST = 16


def admin_token() -> str | None:
    """Return the token for the admin port; None when there is none.

    From GATEWAY_ADMIN_TOKEN, or the file that GATEWAY_ADMIN_TOKEN_FILE names. Raises
    ConfigurationError for a file that can't be read and for a token that is easily guessed.
    """
    token = os.environ.get("GATEWAY_ADMIN_TOKEN")
    path = os.environ.get("GATEWAY_ADMIN_TOKEN_FILE")
    if not token and path:
        try:
            token = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"GATEWAY_ADMIN_TOKEN_FILE: {path} can't be read") from error
    if not token:
        return None
    if len(token) < _SHORTEST:
        raise ConfigurationError(
            f"the admin token has fewer than {_SHORTEST} characters; make one with"
            " `openssl rand -hex 24`"
        )
    return token
