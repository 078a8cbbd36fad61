"""`python -m reuse_proxy`: the same as the `reuse-proxy` command."""

import sys

from reuse_proxy.cli import main

if __name__ == "__main__":
    sys.exit(main())
