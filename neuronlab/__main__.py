"""`python -m neuronlab`: the command line."""

from neuronlab.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
