"""`deploy.local` with two small services in the places of the hub and the gateway.

``python -m tests.doubles.local_main STATE_DIR HUB_FLAGS GATEWAY_FLAGS``, flags with commas.
"""

import sys
from pathlib import Path

from deploy import local

if __name__ == "__main__":
    state, hub_flags, gateway_flags = sys.argv[1:]
    service = (sys.executable, "-m", "tests.doubles.service")
    diary = str(Path(state) / "diary")
    sys.exit(
        local.main(
            local.Plan(
                places=(),
                state_dir=Path(state),
                hub=(*service, "hub", diary, *hub_flags.split(",")),
                gateway=(*service, "gateway", diary, *gateway_flags.split(",")),
            )
        )
    )
