"""The data of an experiment: sets that are made here, fictitious rows, rows as tokens."""
