"""The recipes of deploy/: what they render is what Slurm, JobSet and the training operator read, and starts a group."""

import importlib.util
import pathlib
import subprocess

import pytest
import yaml
from calling import with_flags

from tfadgm.cli import asked, train
from tfadgm.training import workers

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = ["--model=sdgm", "--dataset=npz:/runs/my own.npz", "--out=/runs/$run 'a'"]


def render(kind, flags=FLAGS, **options):
    spec = importlib.util.spec_from_file_location("render", ROOT / "deploy" / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render(kind, flags, **options)


def pods(kind, **options):
    """Returns (manifest, number of pods, their spec)."""
    found = yaml.safe_load(render(kind, **options))
    if kind == "jobset.yaml":
        (job,) = found["spec"]["replicatedJobs"]
        spec = job["template"]["spec"]
        assert spec["completionMode"] == "Indexed" and spec["parallelism"] == spec["completions"] and job["replicas"] == 1
        assert spec["template"]["spec"]["restartPolicy"] == "Never" and found["spec"]["failurePolicy"]["maxRestarts"] == 10
        return found, spec["completions"], spec["template"]["spec"]
    spec = found["spec"]["tfReplicaSpecs"]["Worker"]
    assert spec["restartPolicy"] == "OnFailure" and found["spec"]["runPolicy"]["backoffLimit"] == 10
    return found, spec["replicas"], spec["template"]["spec"]


def settings_of(command):
    return with_flags(train, command, lambda argv: asked.settings())


@pytest.mark.parametrize(
    "kind, version", [("jobset.yaml", "jobset.x-k8s.io/v1alpha2 JobSet"), ("tfjob.yaml", "kubeflow.org/v1 TFJob")]
)
def test_a_manifest_starts_as_many_pods_as_workers_with_the_users_command(kind, version):
    manifest, count, pod = pods(kind, name="deep", workers=3, gpus=4, image="registry/image:1", volume="/runs")
    assert f"{manifest['apiVersion']} {manifest['kind']}" == version and manifest["metadata"]["name"] == "deep"
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert count == 3 and container["name"] == "tensorflow" and container["image"] == "registry/image:1"
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 4} and container["ports"][0]["containerPort"] == 2222
    assert container["command"] == ["tfadgm-train", "--strategy=multi_worker", *FLAGS]
    assert settings_of(container["command"][1:]).strategy == "multi_worker"
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/runs"}]
    assert volume["persistentVolumeClaim"] == {"claimName": "deep"} and pod["terminationGracePeriodSeconds"] >= 60


def test_each_pod_of_a_jobset_finds_its_group(monkeypatch):
    _, count, pod = pods("jobset.yaml", name="deep", workers=3)
    index, text = pod["containers"][0]["env"]
    assert index["name"] == "INDEX" and text["name"] == "TF_CONFIG"  # in this order: the second refers to the first
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    for number in range(count):
        monkeypatch.setenv("TF_CONFIG", text["value"].replace("$(INDEX)", str(number)))
        addresses = [f"deep-worker-0-{each}.deep:2222" for each in range(3)]
        assert workers.named() == ({"worker": addresses}, "worker", number)


def test_a_job_of_slurm_starts_a_process_per_node_and_is_queued_again(tmp_path):
    text = render("train.sbatch", workers=4, gpus=8, hours=12, restarts=3)
    lines = text.splitlines()
    options = dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines if line.startswith("#SBATCH"))
    assert lines[0] == "#!/bin/bash" and options | dict(nodes="4") == options and options["gpus-per-node"] == "8"
    assert options["ntasks-per-node"] == "1" and options["signal"] == "TERM@120" and options["time"] == "12:00:00"
    assert "requeue" in options and options["open-mode"] == "append"
    for name, script in dict(srun='printf "%s\\n" "$@" >> called; exit 143', scontrol='echo "$@" >> queued').items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for count, queued in ((0, True), (3, False)):
        (tmp_path / "queued").unlink(missing_ok=True)
        environment = dict(PATH=f"{tmp_path}:/usr/bin:/bin", SLURM_JOB_ID="77", SLURM_RESTART_COUNT=str(count))
        done = subprocess.run(["bash"], input=text, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 143 and (tmp_path / "queued").exists() == queued
    called = (tmp_path / "called").read_text().splitlines()
    assert called[: len(called) // 2] == ["--kill-on-bad-exit=1", "bin/train", "--strategy=multi_worker", *FLAGS]


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(name="Deep_1"), "name: got 'Deep_1'; allowed"),
        (dict(workers=0), "workers: got 0; allowed: at least 1"),
        (dict(flags=["--model=adgm"]), "flags: got no --out=DIR; allowed"),
    ],
)
def test_what_cannot_run_is_not_rendered(changes, message):
    with pytest.raises(ValueError, match=message):
        render("jobset.yaml", **changes)


def test_the_program_prints_it_and_tells_mistakes_in_a_line():
    program = str(ROOT / "deploy" / "render.py")
    command = [program, "tfjob.yaml", "--workers=2", "--", "--out=/runs/a b"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert yaml.safe_load(done.stdout)["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] == 2
    wrong = subprocess.run(command[:3], capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1 and not wrong.stdout
