"""Splits and classes from folders."""

from __future__ import annotations

import pytest

from phispace.data.layout import arrange, sorted_classes


def _said(*ids: str) -> dict[str, tuple[str, str | None]]:
    """id -> (split, class)."""
    found = arrange(ids)
    return {
        name: (str(found.split[i]), found.classes[found.labels[i]] if found.labels[i] >= 0 else None)
        for i, name in enumerate(ids)
        if i not in found.outside
    }


@pytest.mark.parametrize(
    "expected",
    [
        {"cat/1.png": ("train", "cat"), "dog/1.png": ("train", "dog")},
        {"1.png": ("train", None), "2.png": ("train", None)},
        {"train/cat/1.png": ("train", "cat"), "test/cat/1.png": ("test", "cat"), "test/dog/1.png": ("test", "dog")},
        {"Train/cat/1.png": ("train", "cat"), "VALID/cat/1.png": ("val", "cat")},
        {"a/b/train/cat/1.png": ("train", "cat"), "a/b/test/dog/1.png": ("test", "dog")},
        {"top/cat/1.png": ("train", "cat"), "top/dog/x/y/1.png": ("train", "dog")},
        {"train/cat/1.png": ("train", "cat"), "unlabelled/1.png": ("unlabelled", None)},
        {"train/cat/1.png": ("train", "cat"), "unlabeled/cat/1.png": ("unlabelled", None)},
        {"cat/1.png": ("train", "cat"), "dog/1.png": ("train", "dog"), "unlabelled/1.png": ("unlabelled", None)},
        {"cat/1.png": ("train", "cat"), "dog/1.png": ("train", "dog"), "loose.png": ("unlabelled", None)},
        {"train/cat/1.png": ("train", "cat"), "train/loose.png": ("unlabelled", None)},
        {"train/cat/1.png": ("train", "cat"), "test/1.png": ("test", None)},
        {"train/1.png": ("train", None), "test/1.png": ("test", None)},
        {"cat/1.png": ("train", "cat"), "dog/1.png": ("train", "dog"), "test/1.png": ("train", "test")},
        {
            "cat/1.png": ("train", "cat"),
            "dog/1.png": ("train", "dog"),
            "test/cat/1.png": ("test", "cat"),
            "test/dog/1.png": ("test", "dog"),
        },
        {"test/cat/1.png": ("test", "cat"), "test/dog/2.png": ("test", "dog")},
        {"Cat/1.png": ("train", "Cat"), "cat/1.png": ("train", "cat")},
    ],
    ids=lambda expected: " ".join(expected),
)
def test_folders_say(expected: dict[str, tuple[str, str | None]]) -> None:
    assert _said(*expected) == expected


def test_one_folder_is_a_wrapper_and_that_is_said() -> None:
    found = arrange(["cats/1.png", "cats/2.png"])
    assert found.classes == ()
    assert found.labels.tolist() == [-1, -1]
    assert found.split.tolist() == ["train", "train"]
    assert "'cats'" in found.notes[0]


def test_what_lies_beside_train_and_test_is_outside() -> None:
    found = arrange(["train/cat/1.png", "test/cat/1.png", "drafts/1.png"])
    assert list(found.outside) == [2]
    assert found.classes == ("cat",)


def test_no_images() -> None:
    assert arrange([]).labels.shape == (0,)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"10", "9", "1"}, ("1", "9", "10")),
        ({"10", "9", "x"}, ("10", "9", "x")),
        ({"b", "B", "a", "é"}, ("B", "a", "b", "é")),
        ({"007", "7", "10"}, ("007", "7", "10")),
    ],
)
def test_order_of_classes(names: set[str], expected: tuple[str, ...]) -> None:
    assert sorted_classes(names) == expected
