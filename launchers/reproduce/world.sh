#!/usr/bin/env bash
# The small world's numbers in docs/results.md: three seeds of both tasks, and plain SFT tuned.
# About half an hour on two cores. Arguments are passed on, for example output_dir=DIR.
set -euo pipefail
python -m prereq -m dataset=world seed=1,2,3 "$@"
python -m prereq -m dataset=world_qa seed=1,2,3 "$@"
python -m prereq -m dataset=world method=sft seed=1,2,3 \
  stage.learning_rate=5e-4,1e-3,2e-3 stage.epochs=5,10,27 "$@"
python -m prereq stage=report "$@"
