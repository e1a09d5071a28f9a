#!/usr/bin/env bash
# Descriptions of medical entities, the whole published experiment: all knowledge LoRAs, then every method, then a report.
#   bash launchers/reproduce/medical.sh [OVERRIDE…]                 on this machine, one thing after the other
#   LAUNCHER=slurm bash launchers/reproduce/medical.sh [OVERRIDE…]  as two arrays of SLURM jobs
# Needs the list of topics: dataset.topics=FILE (a JSON list of names).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
reproduce medical sft_fictitious,prereq_fictitious '[passage_v0],[passage_v1],[passage_v2],[passage_v3],[passage_v4],[statement_v0],[statement_v1],[statement_v2],[statement_v3],[statement_v4]' "$@"
