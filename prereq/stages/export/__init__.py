"""`stage=export`: from a skill of this project to a folder for other programs, and to the Hub."""
