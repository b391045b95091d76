"""The entry point of the program: it takes Ctrl-C before it imports anything large."""

from __future__ import annotations

from dandi_mirror.cli.interruption import end_at_once, take_signal

take_signal()


def main() -> None:
    """Run the command line, and end the process."""
    try:
        from dandi_mirror.cli.main import main as run

        run()
    except KeyboardInterrupt:
        end_at_once()  # a second one, while the first was reported
