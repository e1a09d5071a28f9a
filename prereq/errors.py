"""The errors that are the user's to mend: printed as one message, never as a traceback."""

import pickle
import traceback


class PrereqError(Exception):
    """Bad input. The message names the file, row or key, the value, what was allowed, the remedy."""


class ConfigError(PrereqError):
    """A configuration with problems: all of them at once, one a line."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The configuration has {count}:\n{lines}")


def portable(error: BaseException) -> BaseException:
    """A copy of an error for another process: like it, or where it cannot be pickled, with its text.

    An error that is nobody's to mend takes its traceback along as a note, which is printed with it.
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
