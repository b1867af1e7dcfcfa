"""Train, evaluate, render, benchmark: ``python run.py key=value ...`` (see README.md)."""

from bags.cli import main

if __name__ == "__main__":
    main()
