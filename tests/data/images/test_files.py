"""Pictures from files: which are read, which are refused by name, and what the cache saves."""

import io
import json
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from image_groups import data_group
from PIL import Image, ImageOps
from pyarrow import parquet

from topiclab.data.images import files as image_files
from topiclab.data.images.files import CorruptImageError, Reading, decode
from topiclab.data.images.image_set import load_images, read_image
from topiclab.data.sources.corpora import data_folder

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 6, 4, 3)).astype(np.uint8)  # twelve pictures, 6 high and 4 wide


def picture(index=0, mode="RGB"):
    return Image.fromarray(COLOURS[index]).convert(mode)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def saved(folder, **pictures):
    """Write images or bytes as <name>.png; `__` in a name separates folders."""
    for name, content in pictures.items():
        path = folder / (name.replace("__", "/") + ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else encoded(content))
    return folder


def load(path, cache=None, **changed):
    return load_images(
        {**data_group("images", path=str(path)), "split": {"val": 0.0, "test": 0.0}, **changed}, None, cache
    )


def with_size(png, width, height):
    """Copy of a PNG with another size in its header."""
    head = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def test_a_folder_is_read_in_order_and_its_folders_are_the_labels(tmp_path):
    saved(tmp_path, b__2=picture(0), b__10=picture(1), a__x__deep=picture(2), top=picture(3))
    saved(tmp_path, _hidden=b"")
    (tmp_path / "_hidden.png").rename(tmp_path / ".hidden.png")
    (tmp_path / ".thumbs").mkdir()
    saved(tmp_path / ".thumbs", small=b"")
    (tmp_path / "notes.txt").write_text("no picture")
    images = load(tmp_path)
    assert images.ids == ("a/x/deep.png", "b/10.png", "b/2.png", "top.png")
    assert (images.label_names, images.labels.tolist()) == (("a/x", "b"), [0, 1, 1, -1])
    np.testing.assert_array_equal(images.images, COLOURS[[2, 1, 0, 3]].transpose(0, 3, 1, 2))
    assert images.info == {"read": 4, "skipped": 0, "flattened": 0, "duplicates": 0}


def test_a_flat_folder_has_no_labels_and_a_single_folder_one(tmp_path):
    flat = load(saved(tmp_path / "flat", a=picture(0), b=picture(0)))
    assert (flat.labels, flat.info["duplicates"]) == (None, 1)
    single = load(saved(tmp_path / "one", cats__a=picture(0), cats__b=picture(1)))
    assert (single.label_names, single.labels.tolist()) == (("cats",), [0, 0])


def test_folders_called_train_and_test_are_the_makers_division(tmp_path):
    saved(tmp_path, train__2__a=picture(0), train__10__b=picture(1), test__2__c=picture(2))
    saved(tmp_path, valid__10__d=picture(3))
    images = load(tmp_path, split={"val": None, "test": None})
    assert (images.label_names, images.labels.tolist()) == (("2", "10"), [0, 1, 0, 1])
    assert [images.ids[row] for row in images.rows("val")] == ["valid/10/d.png"]
    assert [images.ids[row] for row in images.rows("test")] == ["test/2/c.png"]
    assert len(load(tmp_path).rows("train")) == 4
    mixed = load(tmp_path, split={"val": 0.0, "test": None})
    assert ([mixed.ids[row] for row in mixed.rows("test")], len(mixed.rows("val"))) == (["test/2/c.png"], 0)


def test_every_format_gives_the_pixels_that_pillow_gives(tmp_path):
    colours = picture()
    for kind, options in (("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})):
        pixels, _ = decode(encoded(colours, kind, **options), "a", Reading())
        np.testing.assert_array_equal(pixels, COLOURS[0].transpose(2, 0, 1))
    content = encoded(colours, "JPEG", quality=50)
    np.testing.assert_array_equal(
        decode(content, "a", Reading())[0][0], np.asarray(Image.open(io.BytesIO(content)))[..., 0]
    )


def test_channels_crop_and_size_are_applied_in_this_order():
    grey, _ = decode(encoded(picture()), "a", Reading(channels=1))
    np.testing.assert_array_equal(grey[0], np.asarray(picture(mode="L")))
    tripled, _ = decode(encoded(picture(mode="L")), "a", Reading(channels=3))
    np.testing.assert_array_equal(tripled, np.repeat(grey, 3, axis=0))
    cut, _ = decode(encoded(picture()), "a", Reading(crop=2))
    np.testing.assert_array_equal(cut, COLOURS[0, 2:4, 1:3].transpose(2, 0, 1))
    halved, _ = decode(encoded(picture()), "a", Reading(size=(3, 2)))
    expected = picture().resize((2, 3), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(halved, np.asarray(expected).transpose(2, 0, 1))
    square, _ = decode(encoded(picture()), "a", Reading(size=(4, 4)))  # cut, not stretched
    np.testing.assert_array_equal(square, COLOURS[0, 1:5].transpose(2, 0, 1))


def test_palettes_single_bits_and_inks_become_their_colours():
    palette = picture().quantize(8)
    shown, _ = decode(encoded(palette), "a", Reading())
    np.testing.assert_array_equal(shown, np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    bits, _ = decode(encoded(picture(mode="1")), "a", Reading())
    assert bits.shape == (1, 6, 4)
    assert set(np.unique(bits)) == {0, 255}
    assert decode(encoded(picture(mode="CMYK"), "JPEG"), "a", Reading())[0].shape == (3, 6, 4)


def test_transparent_parts_are_laid_on_white_and_counted(tmp_path, caplog):
    opaque = picture().convert("RGBA")
    half = opaque.copy()
    half.putalpha(Image.fromarray(np.repeat([[0, 0, 255, 255]], 6, axis=0).astype(np.uint8)))
    images = load(saved(tmp_path, a=opaque, b=half, c=picture()))
    np.testing.assert_array_equal(images.images[0], images.images[2])
    assert (images.images[1, :, :, :2] == 255).all()
    np.testing.assert_array_equal(images.images[1, :, :, 2:], images.images[2, :, :, 2:])
    assert images.info["flattened"] == 1
    assert "1 of 3 are partly transparent and were composited on white" in caplog.text
    grey, is_flattened = decode(encoded(picture(mode="L").convert("LA")), "a", Reading())
    assert (grey.shape, is_flattened) == ((1, 6, 4), False)
    keyed = encoded(picture(), transparency=tuple(COLOURS[0, 0, 0].tolist()))
    pixels, is_flattened = decode(keyed, "a", Reading())
    assert (is_flattened, pixels[:, 0, 0].tolist()) == (True, [255] * 3)


def test_a_photograph_is_turned_as_its_camera_says_and_its_preview_is_no_animation():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(picture(), "JPEG", exif=exif), "a", Reading())[0].shape == (3, 4, 6)
    for turn in range(9):
        exif[0x0112] = turn
        content = encoded(picture(), exif=exif)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(decode(content, "a", Reading())[0].transpose(1, 2, 0), expected)
    exif[0x011A] = 72.0  # the resolution, a fraction, which some cameras write as text
    as_text = exif.tobytes().replace(b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02")
    exif.load(as_text)
    assert isinstance(exif[0x011A], str)
    assert decode(encoded(picture(), "JPEG", exif=as_text), "a", Reading())[0].shape == (3, 4, 6)
    both = encoded(picture(), "MPO", save_all=True, append_images=[picture(1)])
    assert decode(both, "a", Reading())[0].shape == (3, 6, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(picture(), save_all=True, append_images=[picture(1)]), "a.png is an animation of 2 frames"),
        (encoded(picture(), "WEBP", save_all=True, append_images=[picture(1)]), "an animation of 2 frames"),
        (
            encoded(Image.fromarray(COLOURS[0, :, :, 0].astype(np.uint16) * 200)),
            "mode I;16.*8 bits a channel",
        ),
        (with_size(encoded(picture()), 8100, 8100), r"^a\.png: 8100 x 8100 pixels, more than the 64,000,000"),
        (
            with_size(encoded(picture()), 60_000, 60_000),
            r"^a\.png: 3600000000 pixels, more than the 64,000,000.*make the picture",
        ),
    ],
    ids=["apng", "webp", "16 bits", "large", "bomb"],
)
def test_a_picture_of_another_kind_is_refused_even_where_corrupt_ones_are_skipped(content, message, tmp_path):
    saved(tmp_path, a=content, b=picture())
    with pytest.raises(ValueError, match=message):
        load(tmp_path, on_corrupt="skip")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_that_pillow_only_warns_of_is_refused():
    with pytest.raises(ValueError, match="10000 x 10000 pixels, more than"):
        decode(with_size(encoded(picture()), 10_000, 10_000), "a", Reading())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        encoded(picture(), "GIF"),
        encoded(picture())[:60],
        encoded(picture().resize((64, 64)), "JPEG")[:-300],
        encoded(picture(), "BMP")[:40],
        encoded(picture())[:45] + b"\x00\xff" * 40,
    ],
    ids=["empty", "text", "gif", "short png", "short jpeg", "short bmp", "noise"],
)
def test_a_corrupt_file_is_named_or_left_out_and_counted(content, tmp_path, caplog):
    saved(tmp_path, a=picture(0), m=content, z=picture(1))
    with pytest.raises(CorruptImageError, match=r"^m\.png: no PNG.*data\.on_corrupt=skip"):
        load(tmp_path)
    images = load(tmp_path, tmp_path / "cache", on_corrupt="skip")
    again = load(tmp_path, tmp_path / "cache", on_corrupt="skip")
    assert images.ids == again.ids == ("a.png", "z.png")
    np.testing.assert_array_equal(again.images, COLOURS[:2].transpose(0, 3, 1, 2))
    assert (again.info["read"], again.info["skipped"], again.info["skipped_names"]) == (3, 1, ["m.png"])
    assert caplog.text.count("1 of 3 are corrupt and left out, the first is m.png") == 2


@pytest.mark.parametrize(
    ("other", "changed", "message"),
    [
        (picture(1).resize((5, 6)), {}, r"a\.png is 6 x 4 pixels.*b\.png is 6 x 5; data\.size=\[6,4\] makes"),
        (picture(1, "L"), {}, r"a\.png is colour, but b\.png is grey; data\.channels=3 reads all as colour"),
        (b"", {"on_corrupt": "skip"}, "images images: 1 of them, but a topic model needs at least 2"),
        (picture(1), {"channels": 1, "size": None, "crop": 5}, r"data\.crop=5, but a\.png is 6 x 4 pixels"),
    ],
)
def test_pictures_that_do_not_go_together_are_named_with_the_way_out(other, changed, message, tmp_path):
    saved(tmp_path, a=picture(0), b=other)
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **changed)


def test_size_and_channels_make_different_pictures_alike(tmp_path):
    saved(tmp_path, a=picture(0), b=picture(1, "L").resize((9, 7)))
    assert load(tmp_path, size=[4, 4], channels=3).images.shape == (2, 3, 4, 4)
    assert load(tmp_path, size=[8, 2], channels=1).images.shape == (2, 1, 8, 2)


def test_more_than_the_memory_holds_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "memory_bytes", lambda: 2 * 2 * 72 - 1)
    with pytest.raises(
        ValueError, match=r"2 pictures of 6 x 4 pixels take 0 GiB.*data\.size=\[64,64\] makes"
    ):
        load(saved(tmp_path, a=picture(0), b=picture(1)))
    assert load(tmp_path, channels=1).num_docs == 2


def test_a_folder_that_is_missing_or_holds_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.path=.*nowhere: no such file or folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no picture \(\.png \.jpg .* check data\.path"):
        load(tmp_path)
    (tmp_path / "list.csv").write_text("a")
    with pytest.raises(ValueError, match=r"neither a folder of pictures nor a \.parquet file"):
        load(tmp_path / "list.csv")
    with pytest.raises(ValueError, match=r"none of the 2 pictures can be decoded, the first is a\.png"):
        load(saved(tmp_path / "bad", a=b"", b=b""), on_corrupt="skip")


def test_decoded_pictures_are_kept_until_a_file_changes(tmp_path, monkeypatch):
    folder, cache = saved(tmp_path / "in", a__1=picture(0), b__2=picture(1)), tmp_path / "cache"
    first = load(folder, cache)
    monkeypatch.setattr(image_files, "decode", lambda *_: pytest.fail("decoded again"))
    again = load(folder, cache)
    assert isinstance(again.images, np.memmap)
    assert (again.fingerprint, again.ids, again.label_names) == (first.fingerprint, first.ids, ("a", "b"))
    monkeypatch.undo()
    saved(folder, b__2=picture(2).resize((4, 6)))
    changed = load(folder, cache)
    np.testing.assert_array_equal(changed.images[1], COLOURS[2].transpose(2, 0, 1))
    assert changed.fingerprint != first.fingerprint
    assert load(folder, cache, channels=1).images.shape == (2, 1, 6, 4)


def hub_parquet(path, rows, part):
    """Write a file as the Hugging Face hub does: {bytes, path}, with the label names in the schema."""
    names = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
    pictures = [{"bytes": encoded(picture(row)), "path": None} for row in rows]
    table = pa.table({"img": pictures, "label": [row % 2 for row in rows]})
    path.mkdir(exist_ok=True)
    file = path / f"{part}-00000-of-00001.parquet"
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), file)
    return file


def test_parquet_of_the_hub_is_read_whole_or_by_file(tmp_path):
    train, _ = hub_parquet(tmp_path, range(4), "train"), hub_parquet(tmp_path, range(4, 6), "test")
    one = load(train)
    assert one.ids == ("train-00000", "train-00001", "train-00002", "train-00003")
    assert (one.label_names, one.labels.tolist()) == (("cat", "dog"), [0, 1, 0, 1])
    np.testing.assert_array_equal(one.images, COLOURS[:4].transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match=r"\(3, 6, 4\), but CIFAR-10's have \(3, 32, 32\); use data=images"):
        load_images(data_group("cifar10", path=str(tmp_path)))


def cifar_pixels(num_docs):
    return np.random.default_rng(1).integers(0, 256, (num_docs, 3, 32, 32)).astype(np.uint8)


def test_cifar10_is_the_same_from_parquet_and_from_the_binary_version(tmp_path):
    pixels, labels = cifar_pixels(24), np.arange(24) % 10
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    contents = [encoded(Image.fromarray(image.transpose(1, 2, 0))) for image in pixels]
    parts = ["train"] * 20 + ["test"] * 4
    columns = {"image": contents, "label": labels, "label_name": [names[x] for x in labels], "split": parts}
    (tmp_path / "table").mkdir()
    parquet.write_table(pa.table(columns), tmp_path / "table" / "cifar10.parquet")
    binary = tmp_path / "binary" / "cifar-10-batches-bin"
    binary.mkdir(parents=True)
    records = np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(24, -1)], axis=1)
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        (binary / f"{name}.bin").write_bytes(records[4 * number : 4 * number + 4].tobytes())
    data = data_group("cifar10")
    table, batches = (load_images(data, tmp_path / name) for name in ("table", "binary"))
    np.testing.assert_array_equal(table.images, pixels)
    assert table.fingerprint == batches.fingerprint
    assert table.ids == batches.ids
    assert table.label_names == batches.label_names == names
    assert table.rows("test").tolist() == [20, 21, 22, 23]
    (binary / "data_batch_3.bin").write_bytes(b"\x01" * 100)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: not records of a label 0\.\.9"):
        load_images(data, tmp_path / "binary")


def test_pickled_or_missing_cifar10_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"found no .*cifar10\.parquet or .*put cifar10\.parquet, the Parquet"
    ):
        load_images(data_group("cifar10"), tmp_path)
    (tmp_path / "data_batch_1").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="the Python version is pickled, and reading it would run"):
        load_images(data_group("cifar10", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": [b"", b""]}, "no column image or img; the columns are picture"),
        (
            {"image": ["a.png", "b.png"]},
            "column image holds string with 0 missing values, but must hold",
        ),
        ({"image": [encoded(picture()), None]}, "column image holds binary with 1 missing"),
    ],
)
def test_parquet_without_pictures_is_refused(columns, message, tmp_path):
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"a\.parquet: not a Parquet file.*check data\.path"):
        load(tmp_path / "a.parquet")


@pytest.mark.skipif(not (data_folder() / "cifar10.parquet").is_file(), reason="no cifar10.parquet")
def test_some_of_the_real_cifar10(tmp_path):
    with parquet.ParquetFile(data_folder() / "cifar10.parquet") as file:
        few = pa.Table.from_batches([next(file.iter_batches(batch_size=50))])
    parquet.write_table(few, tmp_path / "cifar10.parquet")
    images = load_images(data_group("cifar10", split={"val": 0.1, "test": 0.1}), tmp_path)
    assert images.images.shape == (50, 3, 32, 32)
    assert images.images.std() > 30
    assert set(images.label_names) <= set(few["label_name"].to_pylist())


def celeba(folder, num_docs=4):
    """Write CelebA's layout with made-up faces, 218 high and 178 wide."""
    (folder / "img_align_celeba").mkdir(parents=True)
    faces = np.random.default_rng(2).integers(0, 256, (num_docs, 218, 178, 3)).astype(np.uint8)
    names = [f"{number:06d}.jpg" for number in range(1, num_docs + 1)]
    for name, face in zip(names, faces, strict=True):
        Image.fromarray(face).save(folder / "img_align_celeba" / name, quality=95)
    lines = [f"{name} {row % 3}" for row, name in enumerate(names)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines))
    rows = [f"{name}  {row % 2 * 2 - 1} 1" for row, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(num_docs), "Smiling Young ", *rows]))
    return names


def test_celeba_is_cut_and_made_small_with_its_own_division_and_an_attribute(tmp_path):
    names = celeba(tmp_path / "celeba")
    images = load_images(data_group("celeba", label_column="Smiling"), tmp_path)
    assert (images.ids, images.split.tolist()) == (tuple(names), [0, 1, 2, 0])
    assert images.label_names == ("Smiling", "not Smiling")
    assert images.labels.tolist() == [1, 0, 1, 0]
    with Image.open(tmp_path / "celeba" / "img_align_celeba" / names[1]) as face:
        small = face.crop((25, 45, 153, 173)).resize((64, 64), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images.images[1], np.asarray(small).transpose(2, 0, 1))
    assert load_images(data_group("celeba"), tmp_path).labels is None


def test_celeba_that_lacks_something_is_refused(tmp_path):
    data, folder = data_group("celeba"), tmp_path / "celeba"
    with pytest.raises(FileNotFoundError, match="put the folder with img_align_celeba/"):
        load_images(data, tmp_path)
    names = celeba(folder)
    with pytest.raises(ValueError, match=r"label_column=Smile is unknown; CelebA's .* Smiling, Young"):
        load_images({**data, "label_column": "Smile"}, tmp_path)
    for name in names[1:3]:
        (folder / "img_align_celeba" / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"000002\.jpg: no such file, and 1 others of"):
        load_images(data, tmp_path)
    (folder / "list_eval_partition.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"list_eval_partition\.txt: no such file"):
        load_images(data, tmp_path)


def test_a_reference_takes_the_shape_of_the_images(tmp_path):
    saved(tmp_path, a=picture().resize((40, 60)))
    assert read_image(tmp_path / "a.png", (1, 8, 8)).shape == (1, 8, 8)
    same = read_image(saved(tmp_path, b=picture()) / "b.png", (3, 6, 4))
    np.testing.assert_array_equal(same, COLOURS[0].transpose(2, 0, 1))
    with pytest.raises(FileNotFoundError, match="no such picture"):
        read_image(tmp_path / "c.png", (3, 6, 4))
