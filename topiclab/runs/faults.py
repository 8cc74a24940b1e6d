"""One or two lines for whatever can go wrong with a command line, in place of a traceback."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from hydra.errors import CompactHydraException
from omegaconf.errors import OmegaConfBaseException

from topiclab.config.compose import ConfigError, explain
from topiclab.runs.run import CellFailed


def faults_of(error: Exception, arguments: Sequence[str]) -> list[str] | None:
    """The lines to print for an error; None for one whose cause is in the program."""
    if isinstance(error, CompactHydraException):
        return explain(error, arguments)
    if isinstance(error, OmegaConfBaseException):
        return [f"{error.full_key or ' '.join(arguments)}: {str(error).splitlines()[0]}"]
    if isinstance(error, (ConfigError, CellFailed)):
        return [str(error)]
    cause = error if isinstance(error, OSError) else error.__cause__  # a log file that cannot be opened
    return [unwritable(cause)] if isinstance(cause, OSError) else None


def unwritable(error: OSError) -> str:
    """A sentence on a file or folder that cannot be made, read or written."""
    if error.filename is None and error.errno == errno.ENOENT:
        return "the folder that this line was started in is gone; cd to one that exists"
    way_out = "give another folder (paths.outputs=..., paths.cache=...), or remove what stands there"
    if error.errno == errno.ENAMETOOLONG:
        way_out = "give a shorter path (paths.outputs=...)"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        way_out = "free space there, then start the same line again"
    return f"{error.filename or 'this line'}: {error.strerror or error}; {way_out}"
