from __future__ import annotations

from bags.io.tally import in_one_line


def test_omitted_photos_are_named_with_the_reason():
    line = in_one_line(
        41, "images/", {"blurred": ["a.jpg"], "copy": ["b.jpg"], "dark": []}, 1, 9252, ["c.jpg", "d.jpg"]
    )
    assert line == (
        "41 of 43 photos of images/ used (2 left out: blurred: a.jpg; copy: b.jpg), 1 camera, 9,252 points,"
        " test views: c.jpg, d.jpg"
    )


def test_nothing_is_left_out_and_nothing_held_out():
    assert in_one_line(3, "photos/", {}, 2, 0, []) == "all 3 photos of photos/ used, 2 cameras, 0 points, no test views"


def test_long_lists_of_names_are_shortened():
    names = [f"{number}.jpg" for number in range(20)]
    line = in_one_line(1, "images/", {"missing": names}, 1, 1, [])
    assert "1 of 21 photos" in line and "6.jpg, 7.jpg and 12 more)" in line and "8.jpg" not in line
