"""An export names the mirrors that have proved that they have the bytes, and no others."""

from __future__ import annotations

from pathlib import Path

from tests.support.three_mirrors import DANDISET, OLD, VERSION, ThreeMirrors


def test_a_metalink_names_a_mirror_when_it_has_proved_what_it_has(
    three: ThreeMirrors, http_mirror: tuple[str, list[str]], tmp_path: Path
) -> None:
    url = http_mirror[0]
    three.know(three.here, {"oxford": url})
    export = ("export", f"{DANDISET}@{VERSION}", "--as", "metalink", "--overwrite", "-o", str(tmp_path / "x"))
    three.here.cli("fetch")
    three.here.cli(*export)
    assert url not in (tmp_path / "x").read_text(), "a claim alone is not believed"
    three.here.cli("challenge")
    three.here.cli(*export)
    text = (tmp_path / "x").read_text()
    for path, key in three.here.keys(VERSION).items():
        assert path in OLD
        place = text.partition(f'<file name="{path}">')[2].partition("</file>")[0]
        urls = [line.partition(">")[2].partition("<")[0] for line in place.splitlines() if "<url" in line]
        assert len(urls) == 3 and "/blobs/" in urls[0] and "/download/" in urls[2]
        assert urls[1].startswith(f"{url}/{DANDISET}/.git/annex/objects/") and urls[1].endswith(f"/{key}/{key}")
    three.know(three.here, {"oxford": url}, "")
    settings = three.here.path / "dandi-mirror.toml"
    settings.write_text(settings.read_text() + "private = true\n")
    three.here.cli(*export)
    assert url not in (tmp_path / "x").read_text(), "a private mirror is not for everybody"
