"""`python -m cortado`: the command line."""

from cortado.cli import main

if __name__ == "__main__":
    main(prog_name="cortado")
