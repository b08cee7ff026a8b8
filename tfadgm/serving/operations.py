"""What an operator of a server needs: its configuration and its command, beside the directory of versions.

    BASE/../serving/model.config        every exported model beside BASE
    BASE/../serving/batching.config     for --enable_batching
    BASE/../serving/monitoring.config   Prometheus metrics at /monitoring/prometheus/metrics of the REST port
    BASE/../serving/serve.sh            the container that serves them all
    BASE/../serving/NAME.json           a request to the model NAME, for `curl -d @NAME.json .../v1/models/NAME:predict`

All are written anew by every export.
"""

import json
import os
import pathlib

IMAGE = "tensorflow/serving:latest"
GRPC_PORT, REST_PORT, MOUNT = 8500, 8501, "/models"

MODEL = """  config {{
    name: "{name}"
    base_path: "{mount}/{directory}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""

# Beyond 32 rows throughput hardly grows (benchmarks/serving.py); 2 ms is what a row may wait for others.
BATCHING = """# --enable_batching --batching_parameters_file={mount}/serving/batching.config
# generate and log_density have a scalar input, which cannot be batched: a server that batches refuses these two.
max_batch_size {{ value: 128 }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}
"""

MONITORING = """prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

COMMAND = """#!/bin/sh
# Serves the models of model.config: gRPC on port {grpc}, REST on port {rest}. More flags of the server may follow, such as
#   --enable_batching --batching_parameters_file={mount}/serving/batching.config
set -eu
models=$(cd "$(dirname "$0")/.." && pwd)
exec docker run --rm -p {grpc}:{grpc} -p {rest}:{rest} -v "$models:{mount}:ro" "${{TF_SERVING_IMAGE:-{image}}}" \\
  --model_config_file={mount}/serving/model.config \\
  --model_config_file_poll_wait_seconds=60 \\
  --file_system_poll_wait_seconds=1 \\
  --monitoring_config_file={mount}/serving/monitoring.config \\
  --enable_signature_method_name_check \\
  "$@"
"""


def write(base: pathlib.Path | str, model_name: str, instance: object) -> pathlib.Path:
    """Writes the files for the versions in `base` and for the other exports beside it; returns their directory.

    Args:
      base: the directory of versions.
      model_name: the name that a server offers them under.
      instance: one example in JSON types, as the signature `serving_default` reads it by rows.
    """
    base = pathlib.Path(base).absolute()
    directory = base.parent / "serving"
    directory.mkdir(exist_ok=True)
    names = beside(base) | {base.name: model_name}
    models = "".join(MODEL.format(name=name, directory=own, mount=MOUNT) for own, name in sorted(names.items()))
    _replace(directory / "model.config", f"model_config_list {{\n{models}}}\n")
    _replace(directory / "batching.config", BATCHING.format(mount=MOUNT))
    _replace(directory / "monitoring.config", MONITORING)
    _replace(directory / "serve.sh", COMMAND.format(grpc=GRPC_PORT, rest=REST_PORT, mount=MOUNT, image=IMAGE), 0o755)
    _replace(directory / f"{model_name}.json", json.dumps({"instances": [instance]}) + "\n")
    return directory


def _replace(path, text, mode=None):
    """Writes text under a temporary name and renames it: a server polls model.config and must never read half of it."""
    temporary = path.with_name(f"{path.name}.writing")
    temporary.write_text(text)
    if mode is not None:
        temporary.chmod(mode)
    os.replace(temporary, path)


def beside(base: pathlib.Path) -> dict[str, str]:
    """Returns {directory: model name} of the other exports in the parent of `base`."""
    found = {}
    for index in base.parent.glob("*/index.json"):
        try:
            versions = json.loads(index.read_text())
            found[index.parent.name] = versions[max(versions, key=int)]["model_name"]
        except (ValueError, TypeError, LookupError):
            pass  # another program's index.json, or one without versions
    found.pop(base.name, None)
    return found


def check_name(base: pathlib.Path | str, model_name: str) -> None:
    """Raises a ValueError if another export beside `base` is already offered as `model_name`."""
    for directory, name in beside(pathlib.Path(base).absolute()).items():
        if name == model_name:
            raise ValueError(f"model_name: got {name!r}, which {directory} beside {base} has; allowed: another name")
