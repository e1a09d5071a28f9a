"""The entry point. From its first line on, a signal ends the command without a traceback."""

import signal

if __name__ == "__mp_main__":  # a worker, while it starts: Ctrl-C is for the parent, which tells it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
elif signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # the system's, until ours is imported
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from prereq.runtime import signals

if __name__ != "__mp_main__":
    signals.at_once()

from prereq.command import STAGES, main

__all__ = ["STAGES", "main"]

if __name__ == "__main__":
    main()
