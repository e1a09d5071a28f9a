"""`stage=judge`: long answers, fact by fact, and the models that split and judge them."""
