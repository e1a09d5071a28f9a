"""The report as one HTML page: gathered from manifests and scores, drawn, and written as a single file."""
