#!/usr/bin/env bash
# Descriptions of medical entities, the whole published experiment: all knowledge LoRAs, then every method, then a report.
#   bash launchers/reproduce/medical.sh [OVERRIDE…]                 on this machine, one thing after the other
#   LAUNCHER=slurm bash launchers/reproduce/medical.sh [OVERRIDE…]  as two arrays of SLURM jobs
# Needs the list of topics: dataset.topics=FILE (a JSON list of names).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
reproduce medical "$@"
