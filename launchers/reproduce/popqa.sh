#!/usr/bin/env bash
# PopQA, the whole published experiment: all knowledge LoRAs, then every method, then a report.
#   bash launchers/reproduce/popqa.sh [OVERRIDE…]                 on this machine, one thing after the other
#   LAUNCHER=slurm bash launchers/reproduce/popqa.sh [OVERRIDE…]  as two arrays of SLURM jobs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
methods=sft,sft_fictitious,popular,prereq_tune
sources='[passage_real],[statement_real],[passage_fake_10],[passage_fake_12],[passage_fake_14],[statement_fake_6],[statement_fake_7],[statement_fake_8]'
launch=(${LAUNCHER:+"hydra/launcher=$LAUNCHER"})

python "$here/../estimate.py" dataset=popqa "$@"
python -m prereq -m "${launch[@]}" stage=cpt dataset=popqa "knowledge=$sources" "$@"
python -m prereq -m "${launch[@]}" stage=eval dataset=popqa "method=$methods" "$@"
python -m prereq stage=report dataset=popqa "$@"
