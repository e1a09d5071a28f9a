"""The errors that a user can do something about: printed as one message, never as a traceback."""

import errno
import pickle
import re
import traceback

BUG = "this is a bug in prereq {}: please report it, with the command and the lines above"
# What a file system may refuse at any time, whatever the code does.
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
MOST = 8  # problems in one message; nobody reads more at once
# In a URL: a user name with or without a password, and a key among the parameters.
IN_URL = re.compile(
    r"(?<=://)[^/\s@]+(?=@)|(?<=[?&])[^=&\s]*(?:key|token|secret|passw)[^=&\s]*=[^&\s]+", re.I
)


class PrereqError(Exception):
    """Bad input. The message names the file, row or key, the value, what was allowed, the remedy."""


class ConfigError(PrereqError):
    """A configuration with problems: all of them at once, one a line, passwords in URLs left out."""

    def __init__(self, problems: list[str]):
        self.problems = [IN_URL.sub("…", problem) for problem in problems]
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"  - {problem}" for problem in self.problems[:MOST]]
        if len(problems) > MOST:
            lines.append(f"  … and {len(problems) - MOST} more")
        super().__init__("\n".join([f"The configuration has {count}:", *lines]))


def portable(error: BaseException) -> BaseException:
    """A copy of an error for another process: like it, or where it cannot be pickled, with its text.

    An error that no user can fix takes its traceback along as a note, which is printed with it.
    """
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is not type(error) or str(copy) != str(error):
        mine = isinstance(error, PrereqError)
        copy = PrereqError(str(error)) if mine else RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, PrereqError | SystemExit | KeyboardInterrupt):
        copy.add_note("".join(["In another process:\n", *traceback.format_exception(error)]))
    return copy


class Preempted(SystemExit):
    """Training was told to stop and has saved its checkpoint: the same command resumes it.

    A `SystemExit`, so that a sweep stops with it instead of going on to its next job.
    """

    CODE = 75  # EX_TEMPFAIL of sysexits.h: try again

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
        self.code = self.CODE


class Failed(BaseException):
    """What a command that runs one job failed with, as its cause.

    No `Exception`, because Hydra answers those with a line that repeats the whole command.
    """


def explained(error: BaseException) -> str | None:
    """What a user can do something about, in words; None for a bug of this project."""
    if isinstance(error, PrereqError):
        return str(error)
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{error.filename or 'the file system'}: {error.strerror}; the same command goes on after that"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"out of memory ({' '.join(str(error).split())[:200]}); less is taken by a smaller "
            "stage.tokens_per_forward or eval.tokens_per_batch, model.gradient_checkpointing=true, and "
            "stage.processes=1"
        )
    return None
