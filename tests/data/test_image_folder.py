"""Folders of images: decoded right, or every bad file named."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

import ktune.data
from ktune.data import load_data
from ktune.data.dataset import Kind, Task
from ktune.data.watching import watched
from ktune.errors import DataError


def save(path, colour, size=(20, 10), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        save(tmp_path / "pets" / "cat" / f"{number}.png", (200, 0, 0))
        save(tmp_path / "pets" / "dog" / "more" / f"{number}.jpg", (0, 0, 200))
    (tmp_path / "pets" / "cat" / "Thumbs.db").write_bytes(b"no image")
    return tmp_path / "pets"


def test_folders_are_classes_and_images_become_one_size(folder):
    dataset = load_data(ktune.data.image_folder(folder, size=(6, 8)))
    assert (dataset.task, dataset.kind) == (Task.BINARY, Kind.IMAGE)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.x.shape == (6, 6, 8, 3)
    assert dataset.x.dtype == np.uint8
    assert dataset.x[0, 0, 0].tolist() == [200, 0, 0]
    assert dataset.x[5, 0, 0, 2] > 190
    assert dataset.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.notes == ("pets: 6 images (cat: 3, dog: 3)",)


def test_greyscale_keeps_one_channel_and_sixteen_bits_become_eight(folder):
    values = np.full((10, 20), 40_000, np.uint16)
    Image.fromarray(values).save(folder / "cat" / "deep.png")
    dataset = load_data(ktune.data.image_folder(folder, size=5, greyscale=True))
    assert dataset.x.shape == (7, 5, 5, 1)
    assert set(dataset.x[3].ravel()) == {40_000 >> 8}


def test_a_photo_taken_upright_stands_upright(folder):
    image = Image.fromarray(
        np.repeat(np.array([[0, 250]], np.uint8), 8, 0).repeat(8, 1)
    )
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise
    image.save(folder / "cat" / "a.png", exif=exif)
    data = ktune.data.image_folder(folder, size=(16, 8), greyscale=True)
    dataset = load_data(data)
    top, bottom = dataset.x[3, 0], dataset.x[3, -1]
    assert top.max() < 10
    assert bottom.min() > 240


def test_a_second_folder_is_the_test_set(folder, tmp_path):
    save(tmp_path / "later" / "cat" / "a.png", (1, 2, 3))
    save(tmp_path / "later" / "dog" / "a.png", (1, 2, 3))
    dataset = load_data(ktune.data.image_folder(folder, test=tmp_path / "later"))
    assert dataset.y_test.tolist() == [0, 1]


def test_the_digest_tells_files_and_form_apart_and_is_the_same_elsewhere(folder):
    source = ktune.data.image_folder(folder, size=6)
    digest = load_data(source).digest
    code = (
        "import ktune.data; "
        f"print(ktune.data.image_folder({str(folder)!r}, size=6).load().digest)"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == digest
    assert load_data(ktune.data.image_folder(folder, size=7)).digest != digest
    save(folder / "cat" / "0.png", (201, 0, 0))
    assert load_data(source).digest != digest


def damage(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_corrupt_files_are_refused_with_all_their_names(folder):
    damage(folder / "cat" / "1.png")
    (folder / "dog" / "no.jpg").write_bytes(b"not an image")
    with pytest.raises(DataError) as caught:
        load_data(ktune.data.image_folder(folder))
    message = str(caught.value)
    assert "2 files are corrupt" in message
    assert "cat/1.png (damaged" in message
    assert "dog/no.jpg (damaged: no image)" in message
    assert "on_corrupt='skip'" in message


def test_corrupt_files_are_skipped_counted_and_named_when_asked(folder):
    damage(folder / "cat" / "1.png")
    dataset = load_data(ktune.data.image_folder(folder, on_corrupt="skip"))
    assert dataset.y.tolist() == [0, 0, 1, 1, 1]
    assert "1 file is corrupt or too large: cat/1.png" in dataset.notes[1]


def bomb(width, height):
    """A PNG of a few hundred bytes that claims, and unpacks to, very many pixels."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", checksum)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_an_image_that_unpacks_to_gigabytes_is_refused_undecoded(folder):
    (folder / "cat" / "bomb.png").write_bytes(bomb(100_000, 100_000))
    with pytest.raises(DataError, match="100000×100000 pixels, more than"):
        load_data(ktune.data.image_folder(folder))
    before = Image.MAX_IMAGE_PIXELS
    load_data(ktune.data.image_folder(folder, on_corrupt="skip"))
    assert before == Image.MAX_IMAGE_PIXELS


def test_decoding_reports_its_progress(folder, monkeypatch):
    monkeypatch.setattr("ktune.data.watching.SECONDS_BETWEEN", -1.0)
    message = []
    with watched(by=message.append):
        load_data(ktune.data.image_folder(folder))
    assert message[0] == "decoding images: 1 of 6"
    assert len(message) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "no"}, "no such folder"),
        ({"path": "pets/cat/0.png"}, "this is a file"),
        ({"path": "pets/cat"}, "at least two"),
        ({"path": "split"}, "test="),
        ({"path": "hollow"}, "no images in this folder"),
        ({"size": 0}, "size must be"),
        ({"size": (3, 4, 5)}, "size must be"),
        ({"on_corrupt": "skipp"}, "Did you mean 'skip'?"),
        ({"test": "hollow"}, "differ"),
    ],
)
def test_what_is_no_folder_of_classes_is_explained(options, message, folder, tmp_path):
    for name in ("split/train", "split/test", "hollow/a", "hollow/b"):
        (tmp_path / name).mkdir(parents=True)
    given = {"path": folder, **options}
    for key in ("path", "test"):
        if isinstance(given.get(key), str):
            given[key] = tmp_path / given[key]
    with pytest.raises(DataError) as caught:
        load_data(ktune.data.image_folder(given.pop("path"), **given))
    assert message in str(caught.value)
