"""Tables and figures of the paper beside what was run here: `experiment=table1` and the like."""
