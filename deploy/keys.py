"""Make the keys that all hubs of a cluster share, as manifests for ``kubectl apply -f -``.

``python -m deploy.keys [NAMESPACE]`` prints the Secret ``hub-keys`` (what signs the
organization token) and the ConfigMap ``hub-jwks`` (its public half, for the gateways). Keep
the Secret out of every repository.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from upstream.org_token import TokenSigner


def manifests(namespace: str, now: float) -> str:
    """Return both manifests for *namespace*, with a key made at *now*."""
    with TemporaryDirectory() as name:
        public = TokenSigner(Path(name), now).key_set().decode()
        private = {file.name: file.read_text() for file in (Path(name) / "keys").iterdir()}
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "hub-keys", "namespace": namespace},
                "stringData": private,
            },
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "hub-jwks", "namespace": namespace},
                "data": {"jwks.json": public},
            },
        ]
    )


if __name__ == "__main__":
    print(manifests((sys.argv[1:] or ["hub"])[0], time.time()), end="")
