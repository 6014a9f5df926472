"""`python -m tinyvae COMMAND`."""

from tinyvae.cli.main import command

if __name__ == "__main__":
    command()
