"""FActScore (Min et al. 2023): the share of a text's atomic facts that a knowledge source supports.

Answers are cut into facts (`facts`), passages are found for each fact (`evidence`), each fact is judged by
its passages (`verdicts`), and verdicts are counted (`scores`). Who splits and who judges are functions:
of the embedded world's values (`exact`), or of a language model (`models`).
"""
