"""``python -m dandi_mirror``."""

from dandi_mirror.cli.start import main

if __name__ == "__main__":
    main()
