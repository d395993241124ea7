"""Files, folders and archives from anybody: what is taken, what is refused in which words, what is never touched."""

import io
import os
import resource
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from leuk_hf.errors import ImageError
from leuk_hf.image_io import load_image
from leuk_hf.intake import IntakeLimits, Upload, open_uploads, shown_name
from leuk_hf.synthetic import render_smear

LIMITS = IntakeLimits(files=20, file_bytes=3 * 2**20, total_bytes=8 * 2**20, ratio=100)


@pytest.fixture(scope="module")
def png():
    buffer = io.BytesIO()
    render_smear("Pre-B", seed=1, image_size=48).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    """Give a function that packs name -> content, and hands the archive in."""

    def pack(entries, **options):
        path = tmp_path / "case.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
            for name, content in entries:
                file.writestr(name, content)
        return Upload(path, "case.zip")

    return pack


def sentences(*uploads, limits=LIMITS):
    """Give each candidate's name with "usable" or what is wrong with it."""
    answers = []
    with open_uploads(uploads, limits) as candidates:
        for candidate in candidates:
            try:
                load_image(candidate.open(), name=candidate.name)
                answers.append((candidate.name, "usable"))
            except ImageError as error:
                assert str(error).startswith(candidate.name) and "\n" not in str(error)
                answers.append((candidate.name, str(error)[len(candidate.name) + 1 :]))
    return answers


def test_archive_is_read_in_the_order_of_names_without_folders_and_system_files(archive, png):
    names = ("b.png", "a/2.png", "a/", "__MACOSX/a/._2.png", "a/.DS_Store", "Thumbs.db", "a/._x.png")
    upload = archive([(name, b"" if name.endswith("/") else png) for name in names])
    assert sentences(upload) == [("case.zip/a/2.png", "usable"), ("case.zip/b.png", "usable")]


def test_entries_are_those_of_the_files(archive, png):
    with open_uploads([archive([("a.png", png)])]) as candidates:
        assert candidates[0].open() == png


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.png", "a/../../evil.png", "/etc/evil.png", "..\\evil.png", "a\\b.png"),
        *("C:/evil.png", "c:evil.png", "C:\\evil.png"),
    ],
)
def test_names_that_lead_elsewhere(archive, png, tmp_path, name):
    before = sorted(tmp_path.rglob("*"))
    upload = archive([(name, png), ("good.png", png)])
    answers = dict(sentences(upload))
    assert answers.pop("case.zip/good.png") == "usable"
    (sentence,) = answers.values()
    assert sentence.startswith("has a name that leads out of the archive")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, upload.path])


def test_links_and_devices(archive, png):
    entries = []
    for kind, name in ((stat.S_IFLNK, "link.png"), (stat.S_IFCHR, "device.png"), (stat.S_IFREG, "plain.png")):
        entry = zipfile.ZipInfo(name)
        entry.create_system, entry.external_attr = 3, (kind | 0o644) << 16
        entries.append((entry, b"/etc/passwd" if kind == stat.S_IFLNK else png))
    answers = dict(sentences(archive(entries)))
    assert answers.pop("case.zip/plain.png") == "usable"
    assert set(answers.values()) == {"is a link or another special file; pack the image itself"}


def test_encrypted_entry_and_unusual_method(archive, png):
    upload = archive([("a.png", png), ("b.png", png), ("c.png", png)])
    content = bytearray(upload.path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    content[first + 8] |= 1  # the flag of the first entry
    content[second + 10 : second + 12] = struct.pack("<H", zipfile.ZIP_LZMA)
    upload.path.write_bytes(content)
    assert [sentence for _, sentence in sentences(upload)] == [
        "is encrypted; pack it without a password",
        "is packed by an unusual method; pack it as an ordinary zip (deflate)",
        "usable",
    ]


def test_archives_inside_the_archive(archive, png):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("a.png", png)
    names = ("inner.zip", "inner.png", "inner.tar.gz")
    answers = sentences(archive([(name, inner.getvalue()) for name in names]))
    assert {sentence for _, sentence in answers} == {
        "is an archive inside the archive; unpack it and hand in the images"
    }


def test_bomb_is_not_unpacked(archive, png):
    """An entry of 2 MB of zeros in 2 kB, one of 60 MB, and a good one."""
    upload = archive([("ratio.bmp", bytes(2 * 2**20)), ("size.png", bytes(60 * 2**20)), ("z.png", png)])
    assert upload.path.stat().st_size < 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sentences(upload) == [
        ("case.zip/ratio.bmp", "unpacks to more than 100 times its size, which no photograph does; save it again"),
        ("case.zip/size.png", "unpacks to 60 MB (at most 3 MB); save it smaller"),
        ("case.zip/z.png", "usable"),
    ]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


def test_entry_that_lies_about_its_size(archive, png):
    upload = archive([("a.png", os.urandom(2 * 2**20)), ("b.png", png)])
    content = bytearray(upload.path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 100)
    upload.path.write_bytes(content)
    answers = dict(sentences(upload))
    assert answers["case.zip/a.png"].startswith("is damaged in its archive (")
    assert answers["case.zip/b.png"] == "usable"


def test_total_size(archive):
    upload = archive([(f"{number}.png", os.urandom(2**20 + 1)) for number in range(8)])
    assert sentences(upload) == [("case.zip", "unpacks to 8 MB (at most 8 MB); split it")]


def test_ten_thousand_files(archive):
    upload = archive([(f"{number}.png", b"x") for number in range(10_000)])
    assert sentences(upload) == [("case.zip", "lists far more than 20 files; split it")]
    assert sentences(upload, limits=IntakeLimits()) == [("case.zip", "holds 10,000 files (at most 1,000); split it")]


def test_huge_directory_is_not_read(tmp_path):
    """Zip64 lets a directory of any size begin anywhere; one of 200 MB is refused before it is read."""
    path, size = tmp_path / "huge.zip", 200 * 2**20
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(size + 100)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, size, 100))
        file.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, size + 100, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    assert sentences(Upload(path, "huge.zip")) == [("huge.zip", "lists far more than 20 files; split it")]


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_truncated_archive(archive, png, kept):
    upload = archive([("a.png", png), ("b.png", png)])
    content = upload.path.read_bytes()
    upload.path.write_bytes(content[: int(kept * len(content))])
    ((name, sentence),) = sentences(upload)
    assert name == "case.zip" and sentence.startswith("is a damaged zip archive (")


def test_every_byte_of_an_archive_may_be_wrong(archive, png):
    """Whatever byte is wrong, each file gets a sentence or is the file it was."""
    upload = archive([("a.png", png[:200]), ("b.png", png)])
    content = upload.path.read_bytes()
    places = [*range(0, 45, 2), *range(len(content) - 120, len(content))]
    for place in places:
        for wrong in (0, content[place] ^ 1):
            damaged = bytearray(content)
            damaged[place] = wrong
            upload.path.write_bytes(damaged)
            assert sentences(upload)


def test_empty_archive_and_what_is_none(archive, tmp_path):
    notes = tmp_path / "notes.zip"
    notes.write_text("not an archive")
    assert sentences(archive([]), Upload(notes, "notes.zip")) == [
        ("case.zip", "is an empty zip archive; pack the images into it"),
        ("notes.zip", "is no zip archive that can be read; pack it again"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a<script>alert(1)</script>",
        b"",
    ],
)
def test_pages_with_an_images_name(archive, content):
    ((_, sentence),) = sentences(archive([("field.png", content)]))
    assert sentence.startswith(("is not an image that can be read", "is damaged", "is empty", "has 1"))


def test_folder_and_files(tmp_path, png):
    folder = tmp_path / "case"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.png", "inner/a.png", "notes.txt"):
        (folder / name).write_bytes(png)
    single = tmp_path / "single.png"
    single.write_bytes(png)
    missing = tmp_path / "missing.png"
    uploads = [Upload(folder, "case"), Upload(single, "one.png"), Upload(missing, "gone.png")]
    assert sentences(*uploads) == [
        ("case/b.png", "usable"),
        ("case/inner/a.png", "usable"),
        ("one.png", "usable"),
        ("gone.png", "does not exist or is no regular file; check the path"),
    ]


def test_more_than_the_limit(archive, png, tmp_path):
    upload = archive([(f"{number:02}.png", png) for number in range(18)])
    single = tmp_path / "single.png"
    single.write_bytes(png)
    answers = sentences(upload, *[Upload(single, f"{number}.png") for number in range(5)])
    assert len(answers) == 21 and answers[19] == ("1.png", "usable")
    assert answers[20] == ("3 more", "were left out: at most 20 are taken at once; hand them in separately")
    assert len(sentences(*[Upload(single, "a.png")] * 3, upload)) == 21


def test_archives_beyond_the_limit_say_so(archive, png, tmp_path):
    content = archive([("a.png", png)]).path.read_bytes()
    uploads = []
    for number in range(4):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(content)
        uploads.append(Upload(path, path.name))
    single = tmp_path / "single.png"
    single.write_bytes(png)
    limits = IntakeLimits(archives=2)
    left_out = "was left out: at most 2 archives are taken at once; hand it in later"
    assert sentences(*uploads, Upload(single, "z.png"), limits=limits) == [
        *[("0.zip/a.png", "usable"), ("1.zip/a.png", "usable"), ("2.zip", left_out), ("3.zip", left_out)],
        ("z.png", "usable"),
    ]


def test_files_of_one_name_are_told_apart(archive, png, tmp_path):
    single = tmp_path / "single.png"
    single.write_bytes(png)
    names = ("a.png", "a.png (2)", "a.png", "a.png", "1/a.png", "x" * 200, "x" * 300)
    packed = archive([("b.png", png)])
    shown = [name for name, _ in sentences(*[Upload(single, name) for name in names], packed, packed)]
    assert shown[:5] == ["a.png", "a.png (2)", "a.png (3)", "a.png (4)", "1/a.png"]
    assert shown[6] == f"{shown[5]} (2)" and shown[7:] == ["case.zip/b.png", "case.zip (2)/b.png"]


def test_names_are_shown_plainly():
    assert shown_name("a\nb\tc  d.png") == "a b c d.png"
    assert shown_name("gnp.\u202egpj\x00\x1b[31m") == "gnp.\ufffdgpj\ufffd\ufffd[31m"
    assert shown_name("نمونه\u200cها.png") == "نمونه\u200cها.png"  # the joiner is Persian spelling
    assert len(shown_name("x" * 5000)) == 161
    assert shown_name(" \n") == "unnamed"


def test_nothing_is_left_behind(archive, png, tmp_path, monkeypatch):
    empty = tmp_path / "temporary"
    empty.mkdir()
    monkeypatch.setenv("TMPDIR", str(empty))
    upload = archive([("a.png", png), ("../b.png", png)])
    sentences(upload)
    assert list(empty.iterdir()) == []
    assert [path.name for path in Path(tmp_path).iterdir() if path.is_file()] == ["case.zip"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted by Linux's /proc")
def test_refused_archives_do_not_stay_open(tmp_path):
    for name, entries in (("empty.zip", 0), ("full.zip", 4)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number in range(entries):
                archive.writestr(f"{number}.png", b"x")
    uploads = [Upload(tmp_path / name, name) for name in ("empty.zip", "full.zip")]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_uploads(uploads, IntakeLimits(files=3)) as candidates:
        assert len(candidates) == 2 and len(list(Path("/proc/self/fd").iterdir())) == before
    with open_uploads(uploads[1:], IntakeLimits(files=4)):
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
