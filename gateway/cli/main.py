"""Owns the entry point of `weir`: the tree of subcommands, and how their failures reach the user."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from core.errors import StoreError
from gateway.cli import arguments
from gateway.cli.options import UsageError
from gateway.config_sources import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed or found damage, 2 not understood."""
    parser = arguments.build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return 2
    parsed = parser.parse_args(argv)
    # What is stored is served by its ACLs; other accounts of this machine must not read it past them.
    os.umask(0o077)
    # Only the module of the command that runs is imported: `weir --help` must not pay for the server.
    module_name, function_name = parsed.run.split(":")
    try:
        run: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"gateway.cli.{module_name}"), function_name
        )
        return run(parsed)
    except ConfigError as error:
        return _fail(f"settings: {error}", 2)
    except UsageError as error:
        return _fail(str(error), 1)
    except StoreError as error:
        return _fail(_explain(error), 1)
    except BrokenPipeError:
        # The reader of our output has enough (weir user ls | head).
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return 130


def _fail(message: str, status: int) -> int:
    print(f"weir: {message}", file=sys.stderr)
    return status


def _explain(error: StoreError) -> str:
    from gateway.cli.explain import explain

    return explain(error)


if __name__ == "__main__":
    sys.exit(main())
