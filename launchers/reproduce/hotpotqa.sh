#!/usr/bin/env bash
# HotpotQA, the whole published experiment: all knowledge LoRAs, then every method, then a report.
#   bash launchers/reproduce/hotpotqa.sh [OVERRIDE…]                 on this machine, one thing after the other
#   LAUNCHER=slurm bash launchers/reproduce/hotpotqa.sh [OVERRIDE…]  as two arrays of SLURM jobs
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
reproduce hotpotqa "$@"
