"""The ``detzoo`` command: every sub-command is a call of a public function.

Nothing heavy is imported before a command runs, so that ``detzoo --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from detzoo.commands.options import WRONG, parse
from detzoo.terminal import printable
from detzoo.typed import on_command_line

INTERRUPTED = 130  # what a shell reports after Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 well, 1 a check failed, 2 wrong use or input, 130 Ctrl-C.

    Args:
        arguments: what follows the program's name; None: those of this process.
    """
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    if not options.debug:
        warnings.formatwarning = lambda message, *_, **__: f"warning: {_shown(message)}\n"
    try:
        with on_command_line():
            return options.run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)  # training has said by itself how to go on
        return INTERRUPTED
    except BrokenPipeError:  # `detzoo list | head`: nobody is reading any more, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug or not _known(error):
            raise
        print(f"error: {_shown(_one_line(error))}", file=sys.stderr)
        return WRONG


def _shown(message: object) -> str:
    """A message, which may quote what a file says, as a terminal may be sent it."""
    return "\n".join(map(printable, str(message).splitlines()))


def _known(error: Exception) -> bool:
    """Whether an error speaks to the user: ours do, and of the others those about files, values and missing parts."""
    ours = type(error).__module__.startswith("detzoo.")
    return ours or isinstance(error, ValueError | OSError | ModuleNotFoundError)


def _one_line(error: BaseException) -> str:
    """An error's message; of a missing file or a full disk, with its name."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
