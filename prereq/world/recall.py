"""What a model recalls of the world's people, asked by the sentences that told it of them.

A model of the world's text has never seen the questions of the skill, but every wording of a fact names
the person before the value: to go on with it is to recall the fact.
"""

from prereq.world.words import STATEMENTS

END = "."  # of a sentence


def begun(name: str, relation: str, wordings: int) -> list[str]:
    """Sentences about a person up to the value, one for each of the first `wordings`."""
    told = (wording.partition("{value}")[0] for wording in STATEMENTS[relation][:wordings])
    return [text.format(name=name).rstrip() for text in told]
