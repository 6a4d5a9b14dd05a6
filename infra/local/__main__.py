"""`python -m infra.local`: start, look at and stop the stack on this machine."""

from infra.local.cli import main

if __name__ == "__main__":
    main()
