"""The page's text, and the client that it carries, without a browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from bags.errors import BagsError
from bags.io.splat_files import write_splats
from bags.scene_page import Photo, client, scene_page
from tests.rendering.random_splats import random_camera, random_splats
from tests.scene_page.stand_in import pack, stand_in_client

HOSTILE = "</script><img src=x onerror=alert(1)>.png"


def script(page: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    stand_in_client(tmp_path, monkeypatch)
    camera = random_camera(40, 32)
    photos = [Photo(HOSTILE, camera, [("photo", Image.new("RGB", (40, 32), "red"))]), Photo("b.png", camera)]
    return scene_page("A <b> scene", random_splats(30, camera), photos, [1.0, 2.0, 3.0], 0.1, False)


def test_it_holds_all_it_needs(page: str, tmp_path: Path) -> None:
    facts = json.loads(script(page, "facts"))
    camera = random_camera(40, 32)
    photo = facts["photos"][0]
    torch.testing.assert_close(torch.tensor(photo["rotation"]).reshape(3, 3), camera.rotation)
    torch.testing.assert_close(torch.tensor(photo["centre"]), camera.center)
    assert photo["focal"] == [camera.fx, camera.fy] and photo["size"] == [40, 32] and photo["name"] == HOSTILE
    assert (facts["focus"], facts["spread"], facts["white"]) == ([1, 2, 3], 0.1, False)
    scene = write_splats(tmp_path / "s", random_splats(30, camera), "spz").read_bytes()
    assert base64.b64decode(script(page, "scene")) == scene
    modules = json.loads(gzip.decompress(base64.b64decode(script(page, "client"))))
    assert set(modules) == {name for package in client.PACKAGES for name in package.modules}
    assert modules["@sparkjsdev/spark"].startswith("// dist/spark")


def test_texts_are_escaped(page: str) -> None:
    assert HOSTILE not in page and "A <b> scene" not in page and "A &lt;b&gt; scene" in page
    assert page.count("<script") == page.count("</script>") == 5
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page


def test_the_modules_name_each_other_as_the_page_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_client(tmp_path, monkeypatch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "_text", lambda archive, name: 'from "./three.core.js"')
        modules = json.loads(gzip.decompress(base64.b64decode(client.client()[0])))
    assert modules["three"] == 'from "three/core"'


def test_npm_package_must_match_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = client.Package("@some/thing", "1.0", "", {"thing": "a.js"})
    assert package.file == "some-thing-1.0.tgz"
    monkeypatch.setenv(client.FOLDER, str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\ncp {tmp_path}/made.tgz some-thing-1.0.tgz\n')
    npm.chmod(0o755)
    with pytest.raises(BagsError, match=r"html needs @some/thing 1\.0, which npm could not fetch: .*network"):
        client.kept(package)
    package = pack(package, tmp_path / "made.tgz")
    path = client.kept(package)
    assert path == tmp_path / "cache/some-thing-1.0.tgz"
    assert (tmp_path / "said").read_text() == "pack --ignore-scripts --silent @some/thing@1.0\n"
    monkeypatch.setenv("PATH", str(tmp_path))
    npm.unlink()
    assert client.kept(package) == path  # needs no npm now
    path.write_bytes(b"damaged")
    with pytest.raises(BagsError, match=r"npm fetches once, but there is no npm: pip install -e '\.\[page\]'"):
        client.kept(package)
