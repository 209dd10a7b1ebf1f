"""`python -m edgespec`: the same command line as `edgespec`."""

from edgespec.cli import main

if __name__ == "__main__":
    main()
