"""The command ``faxrelay``."""

from __future__ import annotations

from relay.cli import faxrelay


def main() -> None:
    """Run the command line."""
    faxrelay(prog_name="faxrelay")


if __name__ == "__main__":
    main()
