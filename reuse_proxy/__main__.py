"""`python -m reuse_proxy`, and the `reuse-proxy` command."""

import sys

# As a shell tells of a program that SIGINT has ended.
_INTERRUPTED = 130


def main() -> int:
    """Run one command; Ctrl-C is no failure of ours, even while we are being loaded."""
    try:
        # Container engines ask for it every few seconds; the rest takes 0.1 s to load.
        if sys.argv[1:2] == ["health"]:
            from reuse_proxy.commands import health  # noqa: PLC0415

            return health.main(sys.argv[2:])
        from reuse_proxy import cli  # noqa: PLC0415

        return cli.main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
