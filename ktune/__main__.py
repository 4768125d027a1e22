"""Run ktune as ``python -m ktune``."""

from ktune.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
