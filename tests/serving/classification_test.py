"""Files in, one record per example out, through the exported signatures alone; every bad input is refused in one line."""

import json
import os
import pathlib
import subprocess
import sys

import conformance_server
import numpy as np
import picture_examples
import pytest
import tensorflow as tf
from PIL import Image

from tfadgm import evaluation
from tfadgm.data import examples, picture_files
from tfadgm.data.preprocess import Preprocess
from tfadgm.models import novelty
from tfadgm.models.m2 import M2
from tfadgm.models.vae import VAE
from tfadgm.networks import mlp
from tfadgm.serving import classification, client, export, records

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["cat", "dog", "owl"]
NETWORK = mlp.Network(hidden=(4,))


def make_export(base, shape, dtype="float32", likelihood="gaussian", any_size=False):
    preprocess = Preprocess(shape, dtype, 1 / 255 if dtype == "uint8" else 1.0, any_size=any_size)
    model = M2(preprocess, 3, likelihood=likelihood, dim_z=2, network=NETWORK)
    for i, weight in enumerate(model.weights):
        weight.assign(0.5 * np.random.default_rng(i).standard_normal(weight.shape))
    return model, export.save(model, NAMES, base)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run whose exports 1 and 2 are an empty directory and a classifier of 5x4 pictures."""
    path = tmp_path_factory.mktemp("run")
    (path / "export" / "1").mkdir(parents=True)
    make_export(path / "export", (5, 4, 1), "uint8", "bernoulli")
    return path


@pytest.fixture(scope="module")
def pictures(run):
    return classification.Classifier(run / "export")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A model of tables with two columns, and its classifier."""
    model, path = make_export(tmp_path_factory.mktemp("table"), (2,))
    return model, classification.Classifier(path)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_text(path, text):
    path.write_text(text)
    return path


def write_picture(path, values):
    Image.fromarray(values).save(path)
    return path


# -------------------------------------------------------------------------------------------------------------- answers


def test_records_of_npz_and_pictures_in_order(pictures, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 1)).astype("uint8")
    files = [write_picture(tmp_path / "a.png", x[0, ..., 0]), write_npz(tmp_path / "b.npz", x=x[1:])]
    found = list(records.of_files(pictures, files, batch=3, log_density_samples=2))
    assert [(r["file"], r["row"]) for r in found] == [(str(files[0]), 0), *[(str(files[1]), i) for i in range(6)]]
    probabilities, density = pictures.probabilities(x), pictures.log_density(x, 2)
    for record, row, value in zip(found, probabilities, density, strict=True):
        assert list(record["probabilities"]) == NAMES
        np.testing.assert_allclose(list(record["probabilities"].values()), row, 1e-5, 1e-6)
        np.testing.assert_allclose(record["log_density"], value, 1e-5)
        assert record["class"] == NAMES[row.argmax()] and record["probability"] == record["probabilities"][record["class"]]
    json.dumps(found, allow_nan=False)


def test_a_picture_is_read_as_in_training_whatever_its_file(pictures, tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 256, (5, 4)).astype("uint8")
    contents = {
        "a.png": (x, {}),
        "side.png": (np.rot90(x), dict(exif=picture_examples.turned(6))),
        "colour.png": (np.stack([x] * 3, -1), {}),
        "a.tif": (x, {}),
        "a.webp": (x, dict(lossless=True)),
    }
    for name, (picture, options) in contents.items():
        Image.fromarray(picture).save(tmp_path / name, **options)
    files = [tmp_path / name for name in contents]
    assert (np.stack([row.x for row in records.read_rows(files, pictures)]) == x[..., np.newaxis]).all()
    assert capsys.readouterr().err.splitlines() == [
        f"warning: pictures that are in colour and are read in grey: 2 (first: {files[2]})"  # WebP has no grey
    ]


def test_a_picture_of_another_size_is_answered_alike_by_file_by_bytes_by_tf_example_and_by_a_server(tmp_path):
    shape = (5, 4, 1)
    _, path = make_export(tmp_path / "export", shape, "uint8", any_size=True)
    classifier = classification.Classifier(path)
    assert classifier.any_size
    pictures = [picture_examples.levels(*size) for size in ((5, 4), (9, 4, 1), (3, 17), (40, 31, 4), (1, 1))]
    files = [write_picture(tmp_path / f"{i}.png", picture) for i, picture in enumerate(pictures)]
    own = [list(record["probabilities"].values()) for record in records.of_files(classifier, files)]
    signatures, encoded = tf.saved_model.load(str(path)).signatures, [file.read_bytes() for file in files]
    features = [tf.train.Features(feature={"image/encoded": bytes_feature(file)}) for file in encoded]
    given = tf.constant([tf.train.Example(features=one).SerializeToString() for one in features])
    np.testing.assert_array_equal(signatures["predict_bytes"](inputs=tf.constant(encoded))["probabilities"], own)
    np.testing.assert_array_equal(signatures["classify"](inputs=given)["scores"], own)
    x = [picture_files.read_image(file, shape, any_size=True) for file in files]
    np.testing.assert_array_equal(signatures["predict"](x=tf.constant(np.stack(x)))["probabilities"], own)
    with pytest.raises(ValueError, match=r"x has shape \(1, 6, 4, .\); allowed: \(N, 5, 4, "):  # an array is what it is
        classifier.probabilities(np.zeros((1, 6, 4, 1), "uint8"))
    with conformance_server.Server({"tfadgm": path.parent}, poll_seconds=60) as server:
        remote = client.RemoteClassifier(server.grpc_address)
        assert remote.any_size
        served = [list(record["probabilities"].values()) for record in records.of_files(remote, files)]
        remote.close()
    np.testing.assert_array_equal(served, own)


@pytest.mark.parametrize("family", ["m2", "vae"])
def test_novelty_by_file_and_by_a_server_is_that_of_the_reference(tmp_path, family):
    options = dict(likelihood="gaussian", dim_z=2, network=NETWORK)
    preprocess = Preprocess((2,), "float32", 1.0)
    model = M2(preprocess, 3, **options) if family == "m2" else VAE(preprocess, 0, **options)
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    reference = novelty.Reference(evaluation.log_density(model, x[:30], 4), "test", 4)
    path = export.save(model, NAMES if family == "m2" else None, tmp_path / "tfadgm", reference=reference)
    write_npz(tmp_path / "x.npz", x=x[30:])
    found = list(records.of_files(classification.Classifier(path, novelty=True), [tmp_path / "x.npz"], 4, novelty=True))
    log_density = evaluation.log_density(model, x[30:], 4)
    p = reference.p_values(log_density)
    for name, values in zip(records.NOVELTY, (log_density, p["low"], p["typical"]), strict=True):
        np.testing.assert_allclose([record[name] for record in found], values, rtol=1e-5)
    if family == "m2":
        q = evaluation.class_probabilities(model, x[30:])
        np.testing.assert_allclose([record["entropy"] for record in found], -(q * np.log(q)).sum(1), rtol=1e-4)
    else:
        assert set(found[0]) == {"file", "row", *records.NOVELTY}
        with pytest.raises(ValueError, match="allowed: those of a classifier"):
            classification.Classifier(path)
    with conformance_server.Server({"tfadgm": path.parent}, poll_seconds=60) as server:
        remote = client.RemoteClassifier(server.grpc_address, novelty=True)
        assert list(records.of_files(remote, [tmp_path / "x.npz"], 4, novelty=True)) == found
        remote.close()


def test_novelty_of_an_export_without_a_reference_is_refused(run):
    with pytest.raises(ValueError, match="has nothing to compare with; allowed: an export of a run with novelty.json"):
        classification.Classifier(run / "export", novelty=True)


def bytes_feature(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def test_a_model_of_one_size_and_a_table_take_no_other_size(pictures, table):
    assert not pictures.any_size and not table[1].any_size


def test_probabilities_are_the_models_own(table):
    model, classifier = table
    x = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    np.testing.assert_allclose(classifier.probabilities(x, batch=2), model(x), 1e-5, 1e-6)
    assert classifier.class_names == NAMES and classifier.raw_shape == (2,) and classifier.raw_dtype == "float32"


def test_a_label_column_is_ignored_and_log_density_is_left_out(table, tmp_path):
    file = write_text(tmp_path / "t.csv", "a,label,b\n1,cat,2\n3,,4\n")
    found = list(records.of_files(table[1], [file]))
    x = np.array([[1, 2], [3, 4]], "float32")
    np.testing.assert_allclose([list(r["probabilities"].values()) for r in found], table[1].probabilities(x), 1e-5)
    assert [r["row"] for r in found] == [0, 1] and "log_density" not in found[0] and "id" not in found[0]


def test_whole_numbers_may_come_as_floats_and_the_other_way_round():
    assert classification.as_raw(np.array([[0.0, 255.0]]), (2,), "uint8").dtype == np.uint8
    assert classification.as_raw(np.array([[0, 300]]), (2,), "float32").dtype == np.float32
    assert classification.as_raw(np.array([[True, False]]), (2,), "int16").tolist() == [[1, 0]]
    assert classification.as_raw(np.zeros((0, 2)), (2,), "uint8").shape == (0, 2)


def test_the_newest_export_is_found(run, pictures):
    assert classification.choose(run=run) == run / "export" / "2" == pictures.path
    assert classification.choose(saved_model=run / "export" / "2") == run / "export" / "2"


# ----------------------------------------------------------------------------------------------------------- bad models


def test_one_of_run_and_saved_model(tmp_path):
    with pytest.raises(ValueError, match="got neither of --run and --saved_model; allowed: exactly one"):
        classification.choose()
    with pytest.raises(ValueError, match="got both of --run and --saved_model; allowed: exactly one"):
        classification.choose("a", "b")
    with pytest.raises(ValueError, match="has no export; allowed: .* after bin/export --run="):
        classification.choose(run=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="its training has not ended; allowed: a finished run"):
        classification.choose(run=tmp_path)


def test_what_is_no_saved_model(tmp_path):
    with pytest.raises(ValueError, match="nowhere: is no directory; allowed: a directory with saved_model.pb"):
        classification.Classifier(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no SavedModel; allowed: a directory with saved_model.pb"):
        classification.Classifier(tmp_path)
    (tmp_path / "7").mkdir()
    write_text(tmp_path / "7" / "saved_model.pb", "damaged")
    with pytest.raises(ValueError, match="7: not a readable SavedModel: .+") as caught:
        classification.Classifier(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_no_classifier(tmp_path):
    path = export.save(VAE(Preprocess((2,)), 2, likelihood="gaussian", network=NETWORK), None, tmp_path)
    with pytest.raises(ValueError, match="has signatures encode, generate, .*; allowed: those of a classifier: .*classify"):
        classification.Classifier(path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "2"))
    with pytest.raises(ValueError, match="has signatures none; allowed: those of a classifier"):
        classification.Classifier(tmp_path)


# ------------------------------------------------------------------------------------------------------------ bad files

BAD = {
    "missing.npz": (None, "missing.npz: no such file; allowed: one of .npz"),
    "x.txt": ("text", "x.txt: has the suffix '.txt'; allowed: .npz .*, .csv.*, pictures"),
    "damaged.npz": ("text", "damaged.npz: not a readable npz file"),
    "damaged.png": ("text", "damaged.png: not a readable picture"),
    "other.npz": (dict(images=np.zeros((2, 5, 4, 1))), "other.npz: .*has arrays images; allowed: x are required"),
    "shape.npz": (dict(x=np.zeros((2, 5, 4))), r"x has shape \(2, 5, 4\); allowed: \(N, 5, 4, 1\)"),
    "scalar.npz": (dict(x=np.zeros(())), r"x has shape \(\); allowed: \(N, 5, 4, 1\)"),
    "nan.npz": (dict(x=np.full((2, 5, 4, 1), np.nan)), r"nan.npz: x holds nan in row 0 \(from 0; 40 such .*finite numbers"),
    "half.npz": (dict(x=np.full((1, 5, 4, 1), 0.5)), "x holds 0.5 in row 0 .*; allowed: whole numbers from 0 to 255"),
    "large.npz": (dict(x=np.full((1, 5, 4, 1), 256)), "x holds 256 in row 0 .*; allowed: whole numbers from 0 to 255"),
    "text.npz": (dict(x=np.full((1, 5, 4, 1), "a")), "x has dtype <U1; allowed: numbers"),
    "wide.csv": ("a,b,c\n1,2,3\n", r"wide.csv: x has shape \(1, 3\); allowed: \(N, 5, 4, 1\)"),
    "word.csv": ("a,b\n1,two\n", "word.csv: row 2, column 'b': got 'two'; allowed: a number"),
    "empty.csv": ("a,b\n", "empty.csv: has a header and no example; allowed: at least one"),
    "size.png": (np.zeros((4, 5), "uint8"), r"size.png: is a picture of 5 x 4 pixels .*; allowed: 4 x 5 pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_before_any_answer(pictures, tmp_path, name):
    content, message = BAD[name]
    if isinstance(content, str):
        write_text(tmp_path / name, content)
    elif isinstance(content, dict):
        write_npz(tmp_path / name, **content)
    elif content is not None:
        write_picture(tmp_path / name, content)
    good = write_npz(tmp_path / "good.npz", x=np.zeros((2, 5, 4, 1), "uint8"))
    with pytest.raises(ValueError, match=message) as caught:
        next(records.of_files(pictures, [good, tmp_path / name]))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for(pictures, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="pipe.png: is a pipe or a device; allowed: one of .npz"):
        next(records.of_files(pictures, [tmp_path / "pipe.png"]))


def test_nan_in_a_table(table, tmp_path):
    file = write_text(tmp_path / "t.csv", "a,b\n1,2\n3,nan\n")
    with pytest.raises(ValueError, match="t.csv: row 3, column 'b': is missing; allowed: a number"):
        next(records.of_files(table[1], [file]))


def test_answers_that_are_not_finite(table, tmp_path, monkeypatch):
    file = write_npz(tmp_path / "x.npz", x=np.full((1, 2), 3e38))
    monkeypatch.setattr(table[1], "log_density", lambda x, *_: np.full(len(x), -np.inf))
    assert next(records.of_files(table[1], [file], log_density_samples=1))["log_density"] is None
    monkeypatch.setattr(table[1], "probabilities", lambda x, *_: np.full((len(x), 3), np.nan))
    with pytest.raises(ValueError, match="x.npz: row 0: its probabilities are not finite"):
        next(records.of_files(table[1], [file]))


def test_no_files_and_bad_numbers(pictures):
    with pytest.raises(ValueError, match="got no files; allowed: one or more of .npz"):
        next(records.of_files(pictures, []))
    with pytest.raises(ValueError, match="got batch=0, log_density_samples=-1; allowed"):
        next(records.of_files(pictures, [], 0, -1))


# ------------------------------------------------------------------------------------------------ names, ranges, failures

KNOWN = dict(feature_names=["width", "mass"], ranges=dict(low=[0.0, 10.0], high=[1.0, 20.0], bounds=None))


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A classifier of tables whose export knows names and ranges of its two columns."""
    preprocess = Preprocess((2,), scale=[1.0, 0.1])
    model = M2(preprocess, 3, likelihood="gaussian", dim_z=2, network=NETWORK)
    path = export.save(model, NAMES, tmp_path_factory.mktemp("named"), description=KNOWN)
    return classification.Classifier(path)


def test_columns_are_matched_by_name(named, tmp_path, capsys):
    one = write_text(tmp_path / "a.csv", "width,mass\n0.5,12\n0.1,19\n")
    other = write_text(tmp_path / "b.csv", "id,mass,town,label,width\nA,12,Rome,cat,0.5\nB,19,Oslo,,0.1\n")
    found = list(records.of_files(named, [one, other]))
    assert [r["probabilities"] for r in found[:2]] == [r["probabilities"] for r in found[2:]]
    assert [r.get("id") for r in found] == [None, None, "A", "B"]
    assert capsys.readouterr().err == f"warning: {other}: the model has no column 'town': no part of x\n"


def test_other_names_are_refused(named, tmp_path):
    for text, message in (("width,weight\n0.5,12\n", "has no column 'mass'"), ("0.5,12\n0.6,13\n", "first row is numbers")):
        with pytest.raises(ValueError, match=f"t.csv: .*{message}"):
            next(records.of_files(named, [write_text(tmp_path / "t.csv", text)]))


def test_columns_by_position_are_told_where_the_model_knows_no_names(table, tmp_path, capsys):
    list(records.of_files(table[1], [write_text(tmp_path / "t.csv", "a,b\n1,2\n")]))
    assert "t.csv: its columns are taken by position, as the model knows no names" in capsys.readouterr().err


def test_other_units_are_told(named, tmp_path, capsys):
    list(records.of_files(named, [write_npz(tmp_path / "x.npz", x=np.array([[0.5, 12000.0], [0.6, 15000.0]]))]))
    assert "x.npz: column 'mass' is 13500 on average, in training 10 to 20" in capsys.readouterr().err


def test_pictures_of_another_scale_are_refused(tmp_path):
    known = dict(ranges=dict(low=0.0, high=255.0, bounds=[0, 255]))
    model = M2(Preprocess((5, 4, 1), "uint8", 1 / 255), 3, dim_z=2, network=NETWORK)
    classifier = classification.Classifier(export.save(model, NAMES, tmp_path / "export", description=known))
    binary = write_npz(tmp_path / "x.npz", x=np.eye(5, 4)[None, ..., None])
    with pytest.raises(ValueError, match="x.npz: holds numbers from 0 to 1; allowed: 0 to 255, as in training"):
        next(records.of_files(classifier, [binary]))


def test_a_picture_of_more_levels_than_training_had_is_refused_and_a_dark_one_is_not(tmp_path):
    known = dict(ranges=dict(low=0.0, high=16.0, bounds=None))
    model = M2(Preprocess((5, 4, 1), "uint8", 1 / 16), 3, "gaussian", 17, dim_z=2, network=NETWORK)
    classifier = classification.Classifier(export.save(model, NAMES, tmp_path / "export", description=known))
    for level in (1, 16, 200):
        Image.fromarray(np.full((5, 4), level, "uint8")).save(tmp_path / f"{level}.png")
    assert len(list(records.of_files(classifier, [tmp_path / "1.png", tmp_path / "16.png"]))) == 2
    with pytest.raises(ValueError, match="200.png: holds levels to 200; allowed: 0 to 16, as in training"):
        next(records.of_files(classifier, [tmp_path / "200.png"]))


def test_one_bad_file_or_row_leaves_the_others_their_answers(table, tmp_path, monkeypatch):
    good = [write_npz(tmp_path / f"{i}.npz", x=np.full((2, 2), i)) for i in (1, 2)]
    bad = write_text(tmp_path / "bad.csv", "a,b\n1,two\n")
    real = table[1].probabilities
    monkeypatch.setattr(table[1], "probabilities", lambda x, batch: np.where(np.arange(4)[:, None] == 2, np.nan, real(x)))
    errors = []
    found = list(records.of_files(table[1], [good[0], bad, good[1]], failed=errors.append))
    assert [(r["file"], r["row"]) for r in found] == [(str(good[0]), 0), (str(good[0]), 1), (str(good[1]), 1)]
    assert "row 2, column 'b': got 'two'" in str(errors[0]) and "2.npz: row 0: its probabilities are" in str(errors[1])


def test_a_directory_stands_for_its_files(tmp_path):
    for name in ("b/1.png", "a.npz", "b/.hidden.png", ".git/2.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_text(tmp_path / name, "")
    found, notes = examples.expand([tmp_path, tmp_path / "c.csv"])
    assert found == [tmp_path / "a.npz", tmp_path / "b" / "1.png", tmp_path / "c.csv"]
    assert notes == [f"{tmp_path}: 1 other files are passed over"]
    with pytest.raises(ValueError, match="is a directory that holds no file of these; allowed: .npz"):
        examples.check([tmp_path])


# ----------------------------------------------------------------------------------------------------------- the binary


def classify(*arguments):
    command = [sys.executable, str(ROOT / "bin" / "classify"), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)


def test_the_binary_prints_json_lines(run, tmp_path):
    file = write_npz(tmp_path / "x.npz", x=np.zeros((2, 5, 4, 1), "uint8"))
    done = classify(f"--run={run}", "--log_density_samples=1", file)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = map(json.loads, done.stdout.splitlines())
    assert list(first) == ["file", "row", "class", "probability", "probabilities", "log_density"]
    assert {**second, "row": 0} == first


def test_the_binary_answers_what_it_can_and_says_what_it_cannot(run, tmp_path):
    (tmp_path / "in").mkdir()
    write_npz(tmp_path / "in" / "x.npz", x=np.zeros((2, 5, 4, 1), "uint8"))
    write_text(tmp_path / "in" / "y.png", "damaged")
    done = classify(f"--run={run}", "--log_density_samples=0", tmp_path / "missing.csv", tmp_path / "in")
    assert done.returncode == 1 and [json.loads(line)["row"] for line in done.stdout.splitlines()] == [0, 1]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "missing.csv: no such file" in errors[0] and "y.png: not a readable picture" in errors[1] and len(errors) == 2


def test_the_binary_ends_with_one_line(run, tmp_path):
    done = classify(f"--run={run}", tmp_path / "missing.npz")
    assert done.returncode == 1 and done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'missing.npz'}: no such file; allowed: ")
