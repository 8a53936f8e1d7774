"""``python -m frontrow`` is the command ``frontrow``."""

from frontrow.cli.main import main

if __name__ == "__main__":
    main(prog_name="frontrow")
