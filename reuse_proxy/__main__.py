"""`python -m reuse_proxy`, and the `reuse-proxy` command."""

import sys

# As a shell tells of a program that SIGINT has ended.
_INTERRUPTED = 130


def main() -> int:
    """Run one command; Ctrl-C is no failure of ours, even while we are being loaded."""
    try:
        from reuse_proxy import cli  # noqa: PLC0415 - takes a tenth of a second

        return cli.main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
