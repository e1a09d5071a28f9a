"""Long form, top-down: real texts become templates, which are filled in contradictory versions."""
