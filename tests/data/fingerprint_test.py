"""The identity of files: what changes it, what does not, and that untouched files are not read."""

import builtins
import os

import pytest

from tfadgm.data import fingerprint


def test_a_file_is_known_by_its_content(tmp_path, monkeypatch):
    path = tmp_path / "own.csv"
    path.write_text("x,label\n1,a\n2,b\n")
    before = fingerprint.of(path)
    assert (before["files"], before["bytes"]) == (1, 16) and fingerprint.of(tmp_path / "absent") is None
    os.utime(path, (1, 1))  # touched, and the same
    fingerprint.check(path, before, "out")
    path.write_text("x,label\n1,a\n2,a\n")
    with pytest.raises(
        ValueError,
        match=r"^out: .*own.csv is not, or no longer, .*1 files, 16 bytes; then 1 files, 16 bytes.*allowed: ",
    ):
        fingerprint.check(path, before, "out")


def test_untouched_files_are_not_read_and_a_missing_one_is_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "own.npz"
    path.write_bytes(b"content")
    before = fingerprint.of(path)
    monkeypatch.setattr(builtins, "open", lambda *arguments: pytest.fail("it is read"))
    fingerprint.check(path, before, "out")
    fingerprint.check(tmp_path / "absent", before, "out")
    assert capsys.readouterr().err.startswith(f"warning: {tmp_path / 'absent'}: no such file")


def test_a_folder_is_known_by_the_names_and_contents_of_its_files(tmp_path):
    for name in ("cat/1.png", "dog/1.png", "cat/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = fingerprint.of(tmp_path)
    assert before["files"] == 2
    (tmp_path / "cat" / ".DS_Store").write_text("hidden files do not count")
    fingerprint.check(tmp_path, before, "out")
    os.rename(tmp_path / "dog" / "1.png", tmp_path / "cat" / "2.png")  # a label that has changed
    with pytest.raises(ValueError, match="is not, or no longer, what the run began on"):
        fingerprint.check(tmp_path, before, "out")
    os.rename(tmp_path / "cat" / "2.png", tmp_path / "dog" / "1.png")
    fingerprint.check(tmp_path, before, "out")


def test_a_link_that_leads_back_ends_and_one_to_a_folder_is_followed(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.png").write_text("cat")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "felines").symlink_to(tmp_path / "cats")
    (tmp_path / "cats" / "back").symlink_to(tmp_path / "data")
    assert fingerprint.of(tmp_path / "data")["files"] == 1


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert fingerprint.of(tmp_path / "pipe") is None and fingerprint.of(tmp_path) is None
