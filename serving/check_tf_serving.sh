#!/bin/sh
# The client tests of tests/serving/protocol_test.py against the real TensorFlow Serving, in a container. Needs docker.
#
#   serving/check_tf_serving.sh            trains a small classifier of digits, serves it, tests it
#   serving/check_tf_serving.sh RUN        the same with the export of a run on digits
#
# TF_SERVING_IMAGE chooses the image, PYTHON the interpreter (default: that of `make install`).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
command -v docker >/dev/null || { echo "error: no docker; allowed: a machine that runs containers" >&2; exit 1; }

run=${1:-}
if [ -z "$run" ]; then
  run=$(mktemp -d)/digits
  "$python" "$here/bin/train" --model=adgm --dataset=digits --epochs=3 --hidden=32,32 --out="$run"
fi
run=$(cd "$run" && pwd)

"$run/serving/serve.sh" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
for second in $(seq 120); do
  curl --silent --fail http://localhost:8501/v1/models/tfadgm | grep -q AVAILABLE && break
  kill -0 $server 2>/dev/null || { echo "error: the server ended before it was ready" >&2; exit 1; }
  [ "$second" -lt 120 ] || { echo "error: the server was not ready after 120 s" >&2; exit 1; }
  sleep 1
done

cd "$here"
TF_SERVING_GRPC=localhost:8500 TF_SERVING_REST=localhost:8501 TF_SERVING_RUN="$run" \
  "$python" -m pytest tests/serving/protocol_test.py -rs
