"""The errors that are the user's to mend: printed as one message, never as a traceback."""


class PrereqError(Exception):
    """Bad input. The message names the file, row or key, the value, what was allowed, the remedy."""


class ConfigError(PrereqError):
    """A configuration with problems: all of them at once, one a line."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The configuration has {count}:\n{lines}")


class Preempted(SystemExit):
    """Training was told to stop and has saved its checkpoint: the same command resumes it.

    A `SystemExit`, so that a sweep stops with it instead of going on to its next job.
    """

    CODE = 75  # EX_TEMPFAIL of sysexits.h: try again

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message
        self.code = self.CODE
