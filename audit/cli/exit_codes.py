"""How every command ends: any error becomes a message on standard error and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from audit.cli.printing import say, say_message
from audit.errors import USAGE, ending, is_usage

VIOLATED = 1


@contextmanager
def exit_codes() -> Iterator[None]:
    """Whatever happens ends with a message and its exit code, never with 1 by accident."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nothing may exit with 1
        if not is_usage(error):
            say(traceback.format_exc(), err=True)
        fail(*ending(error))


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Print a message and exit."""
    say_message(message)
    sys.exit(code)
