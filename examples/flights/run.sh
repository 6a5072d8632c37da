#!/usr/bin/env bash
# The whole job on the flights of 2013: define, load, build training sets in two modes, hold them against an
# independent computation, train a model, register it, look features up at a time in 2013, trace, verify.
#
#   examples/flights/run.sh [WORK_DIRECTORY]
#
# LINEATE           the program           (default: built from this checkout)
# LINEATE_FLIGHTS   the data              (default: ../shared/data/nycflights13, beside the checkout)
# PYTHON            with the packages     (default: .venv/bin/python of the checkout, made if missing)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${LINEATE_FLIGHTS:-$root/../shared/data/nycflights13}
work=${1:-$(mktemp -d)}
python=${PYTHON:-$root/.venv/bin/python}

fail() { echo "error: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

[[ -e $data/labels.parquet ]] || fail "no labels.parquet in $data; set LINEATE_FLIGHTS to the directory that has it"
data=$(cd "$data" && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)

if [[ ! -x $python ]]; then
    step "Python's packages"
    python3 -m venv "$root/.venv"
    "$python" -m pip install --quiet --requirement "$root/python/requirements.txt"
fi
if [[ -z ${LINEATE:-} ]]; then
    step "The program"
    cargo build --locked --manifest-path "$root/Cargo.toml" --package lineate
    LINEATE=${CARGO_TARGET_DIR:-$root/target}/debug/lineate
fi
lineate() { printf '$ lineate %s\n' "$*"; "$LINEATE" --data-dir "$work/store" "$@"; }

step "Define: entities, views, one service with the weather twice"
lineate apply "$here/flights.yaml" --plan
lineate apply "$here/flights.yaml"

step "Load: four logs, each one atomic load"
for log in weather:weather_log aircraft_log:aircraft_log route_log:route_log carrier_log:carrier_log; do
    lineate ingest "${log%%:*}" "$data/${log##*:}.parquet"
done

step "Build: all labels, as known at departure and as it had happened by then"
for mode in known event; do
    lineate dataset create "flights_$mode" --spine "$data/labels.parquet" --service delay_model \
        --mode "$mode" --output "$work/$mode.parquet"
done
lineate dataset list

step "Compare: every cell, with a computation that shares no code with Lineate"
for mode in known event; do
    PYTHONPATH=$root/python show "$python" -m oracle compare \
        --definitions "$here/flights.yaml" --service delay_model --spine "$data/labels.parquet" \
        --log "weather=$data/weather_log.parquet" --log "aircraft_log=$data/aircraft_log.parquet" \
        --log "route_log=$data/route_log.parquet" --log "carrier_log=$data/carrier_log.parquet" \
        --mode "$mode" --output-from-lineate "$work/$mode.parquet"
done

step "Train: will it arrive more than 15 minutes late?"
show "$python" "$here/train.py" "$work/known.parquet" --model "$work/model.joblib" --report "$work/report.json"

step "Register: the model, what made it, how good it is"
mapfile -t options < <("$python" "$here/options.py" "$work/report.json")
lineate model register flight_delay --dataset flights_known --artifact "$work/model.joblib" \
    --code "$(git -C "$root" rev-parse HEAD)" "${options[@]}"
lineate model promote flight_delay@v1 production

step "Look up: what was known of a flight on the fourth of July, 2013"
lineate get delay_model --entity tailnum=N14228,origin=EWR,dest=IAH,carrier=UA --at 2013-07-04T15:00:00Z

step "Trace: from the model to the files it came from"
lineate trace model:flight_delay@v1 --up

step "Verify: the join again from the history, then the whole store"
lineate dataset verify flights_known
lineate dataset verify flights_event
lineate verify

step "Done; everything is in $work"
