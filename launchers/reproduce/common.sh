# What the published experiments share; sourced by popqa.sh and its like.

# reproduce TASK METHODS SOURCES [OVERRIDE…]: the estimate, every knowledge LoRA, every method, the report.
reproduce() {
  local task=$1 methods=$2 sources=$3
  shift 3
  local launch=(${LAUNCHER:+"hydra/launcher=$LAUNCHER"})
  python "$(dirname "${BASH_SOURCE[0]}")/../estimate.py" "dataset=$task" "dataset.methods=[$methods]" "$@"
  python -m prereq -m "${launch[@]}" stage=cpt "dataset=$task" "knowledge=$sources" "$@"
  python -m prereq -m "${launch[@]}" stage=eval "dataset=$task" "method=$methods" "$@"
  python -m prereq stage=report "dataset=$task" "$@"
}
