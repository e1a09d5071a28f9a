"""`stage=ask`: a question, and what skill, plugged-in knowledge and other methods answer."""
