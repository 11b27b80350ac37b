"""Where the things to deploy lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
RUNBOOKS = ROOT / "docs" / "runbooks"
SCHEMAS = Path(__file__).resolve().parent / "schemas"
