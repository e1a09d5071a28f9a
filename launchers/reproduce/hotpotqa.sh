#!/usr/bin/env bash
# HotpotQA, the whole published experiment: all knowledge LoRAs, then every method, then a report.
#   bash launchers/reproduce/hotpotqa.sh [OVERRIDE…]                 on this machine, one thing after the other
#   LAUNCHER=slurm bash launchers/reproduce/hotpotqa.sh [OVERRIDE…]  as two arrays of SLURM jobs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
methods=sft,sft_fictitious,prereq_tune
sources='[passage_real],[passage_fake],[statement_real],[statement_fake]'
launch=(${LAUNCHER:+"hydra/launcher=$LAUNCHER"})

python "$here/../estimate.py" dataset=hotpotqa "$@"
python -m prereq -m "${launch[@]}" stage=cpt dataset=hotpotqa "knowledge=$sources" "$@"
python -m prereq -m "${launch[@]}" stage=eval dataset=hotpotqa "method=$methods" "$@"
python -m prereq stage=report dataset=hotpotqa "$@"
