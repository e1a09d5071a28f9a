# What the published experiments share; sourced by popqa.sh and its like.

# reproduce TASK [OVERRIDE…]: the estimate, every knowledge LoRA, every method of the data set, the report.
reproduce() {
  local task=$1 methods sources
  shift
  local launch=(${LAUNCHER:+"hydra/launcher=$LAUNCHER"})
  methods=$(python -m prereq "dataset=$task" "$@" --cfg job -p dataset.methods | sed -n 's/^- //p' | paste -sd,)
  python "$(dirname "${BASH_SOURCE[0]}")/../estimate.py" "dataset=$task" "$@"
  sources=$(COLUMNS=200 python -m prereq stage=cpt stage.dry_run=true "dataset=$task" "$@" |
    sed -nE 's/^knowledge (.*)-[0-9a-f]{10} .*/[\1]/p' | paste -sd,)
  python -m prereq -m "${launch[@]}" stage=cpt "dataset=$task" "knowledge=$sources" "$@"
  python -m prereq -m "${launch[@]}" stage=eval "dataset=$task" "method=$methods" "$@"
  python -m prereq stage=report "dataset=$task" "$@"
}
