"""Reading distributions with odd metadata, and interpreting names, versions, licences and requirements."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.demo.distributions import (
    RawDistribution,
    UnreadableDistributionError,
    duplicated_names,
    find_distributions,
    is_usual_version,
    kind_of_file,
    normalise_licence,
    normalise_name,
    parse_requirement,
    read_distribution,
    search_roots,
)


def test_names_that_differ_only_in_case_and_separators_are_one() -> None:
    assert {normalise_name(name) for name in ("Zope.Interface", "zope-interface", "zope__interface")} == {
        "zope-interface"
    }


def test_a_package_in_two_places_is_found_as_duplicated() -> None:
    assert duplicated_names(["pip", "six", "pip", "idna", "pip"]) == {"pip"}


@pytest.mark.parametrize("version", ["1.0", "2024.12.1", "1!2.0rc1.post3.dev4+local.7", "v1.0-beta2", "1.0-1", "0"])
def test_versions_that_installers_understand_are_usual(version: str) -> None:
    assert is_usual_version(version)


@pytest.mark.parametrize("version", ["", "unknown", "1.0-SNAPSHOT", "1..0", "2.x", "1.0 (Debian)", "٣.١"])
def test_versions_made_by_hand_are_not_usual(version: str) -> None:
    assert not is_usual_version(version)


@pytest.mark.parametrize(
    ("expression", "classifiers", "text", "expected"),
    [
        ("MIT OR Apache-2.0", ["License :: OSI Approved :: BSD License"], "GPL", "MIT OR Apache-2.0"),
        (None, ["License :: OSI Approved :: MIT License", "Topic :: Utilities"], "see LICENSE", "MIT"),
        (None, ["License :: OSI Approved"], "Apache License, Version 2.0", "Apache-2.0"),
        (
            None,
            ["License :: OSI Approved :: BSD License", "License :: OSI Approved :: MIT License"],
            None,
            "BSD OR MIT",
        ),
        (None, [], "GNU Lesser General Public License v3 or later", "LGPL"),
        (None, [], "Permission is hereby granted, free of charge, to any person", "MIT"),
        (None, [], "New BSD License", "BSD-3-Clause"),
        (" ", [], "", "unknown"),
        (None, [], "ask my former employer", "unknown"),
    ],
)
def test_a_licence_gets_one_short_name_from_the_most_exact_source(
    expression: str | None, classifiers: list[str], text: str | None, expected: str
) -> None:
    assert normalise_licence(expression, classifiers, text) == expected


@pytest.mark.parametrize(
    ("line", "name", "extras", "specifier", "extra"),
    [
        ("six", "six", "", "", ""),
        ("Typing_Extensions>=4.4 , <5", "typing-extensions", "", ">=4.4,<5", ""),
        ("six (>=1.10)", "six", "", ">=1.10", ""),
        ("httpx[socks, http2] ~= 0.27 ; python_version < '3.13'", "httpx", "http2,socks", "~=0.27", ""),
        ('rich>=13 ; sys_platform != "win32" and extra == "Pretty"', "rich", "", ">=13", "pretty"),
        ("mine @ https://example.com/mine.zip", "mine", "", "@https://example.com/mine.zip", ""),
    ],
)
def test_a_requirement_becomes_a_dependency_edge(line: str, name: str, extras: str, specifier: str, extra: str) -> None:
    requirement = parse_requirement(line)
    assert requirement is not None
    assert (requirement.name, requirement.extras, requirement.specifier, requirement.extra) == (
        name,
        extras,
        specifier,
        extra,
    )


@pytest.mark.parametrize("line", ["", "   ", ">=1.0", "-e .", "# comment"])
def test_a_line_that_names_no_distribution_is_no_requirement(line: str) -> None:
    assert parse_requirement(line) is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("pkg/__init__.py", "python"),
        ("pkg/__pycache__/mod.cpython-311.pyc", "bytecode"),
        ("pkg/_speed.cpython-311-x86_64-linux-gnu.so", "extension"),
        ("pkg.libs/libpq-9b38f5e3.so.5.17", "extension"),
        ("pkg/py.typed", "data"),
        ("pkg/stubs.pyi", "typing"),
        ("pkg-1.0.dist-info/RECORD", "metadata"),
        ("../../../bin/tool", "script"),
        ("pkg/bin/helper.js", "web"),
    ],
)
def test_the_kind_of_a_file_follows_from_its_place_and_ending(path: str, kind: str) -> None:
    assert kind_of_file(path) == kind


@given(st.text())
def test_no_text_makes_the_parsers_raise(text: str) -> None:
    parse_requirement(text)
    normalise_licence(text, [text], text)
    is_usual_version(text)
    kind_of_file(text)


METADATA = "Metadata-Version: 2.1\nName: Sample\nVersion: 1.0\n"


def dist_info(
    root: Path, metadata: str | bytes = METADATA, record: str | bytes | None = "sample.py,sha256=abc,12\n"
) -> Path:
    path = root / "sample-1.0.dist-info"
    path.mkdir(parents=True)
    (path / "METADATA").write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    if record is not None:
        (path / "RECORD").write_bytes(record if isinstance(record, bytes) else record.encode())
    return path


def quirk_kinds(distribution: RawDistribution) -> list[str]:
    return [quirk.kind for quirk in distribution.quirks]


def test_a_well_kept_distribution_is_read_without_quirks(tmp_path: Path) -> None:
    metadata = (
        METADATA + "Summary: does things\nRequires-Dist: six\nRequires-Dist: idna>=3\nLicense: MIT\n\nLong text\n"
    )
    path = dist_info(tmp_path, metadata, "sample.py,sha256=abc,12\nsample-1.0.dist-info/RECORD,,\n")
    (path / "INSTALLER").write_text("pip\n")
    found = read_distribution(path)
    assert (found.name, found.version, found.summary, found.installer) == ("Sample", "1.0", "does things", "pip")
    assert found.requires == ("six", "idna>=3")
    assert [(file.path, file.recorded_size) for file in found.files] == [
        ("sample.py", 12),
        ("sample-1.0.dist-info/RECORD", None),
    ]
    assert quirk_kinds(found) == []


def test_a_missing_record_is_a_quirk_and_no_failure(tmp_path: Path) -> None:
    found = read_distribution(dist_info(tmp_path, record=None))
    assert found.files == ()
    assert quirk_kinds(found) == ["no file list"]


def test_undecodable_metadata_is_read_with_replacements_and_noted(tmp_path: Path) -> None:
    found = read_distribution(dist_info(tmp_path, METADATA.encode() + "Author: Günter\n".encode("latin-1")))
    assert found.name == "Sample"
    assert quirk_kinds(found) == ["undecodable metadata"]


def test_a_broken_record_line_costs_one_file_and_not_all(tmp_path: Path) -> None:
    record = "a.py,,1\nb.py,,many\nc.py,,3,4\n,,5\nd.py,,99999999999999999999\ne.py,,6\n\n"
    found = read_distribution(dist_info(tmp_path, record=record))
    assert [file.path for file in found.files] == ["a.py", "e.py"]
    assert quirk_kinds(found) == ["broken record line"] * 4


def test_a_nul_in_a_record_does_not_stop_the_reading(tmp_path: Path) -> None:
    found = read_distribution(dist_info(tmp_path, record=b"a\x00.py,,1\nb.py,,2\n"))
    assert [file.path for file in found.files] == ["a\ufffd.py", "b.py"]


def test_a_distribution_without_a_version_is_kept(tmp_path: Path) -> None:
    found = read_distribution(dist_info(tmp_path, "Name: Sample\nVersion: UNKNOWN\n"))
    assert found.version == ""
    assert quirk_kinds(found) == ["no version"]


@pytest.mark.parametrize("metadata", ["", "Version: 1.0\n", "Name: UNKNOWN\n", "\n\nName: too late\n"])
def test_a_distribution_without_a_name_is_unreadable(tmp_path: Path, metadata: str) -> None:
    with pytest.raises(UnreadableDistributionError, match=r"sample-1\.0\.dist-info"):
        read_distribution(dist_info(tmp_path, metadata))


def test_a_directory_without_metadata_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "left-over.dist-info").mkdir()
    with pytest.raises(UnreadableDistributionError, match=r"left-over\.dist-info .* no metadata"):
        read_distribution(tmp_path / "left-over.dist-info")


def test_an_egg_info_may_be_a_single_file(tmp_path: Path) -> None:
    path = tmp_path / "old-0.1.egg-info"
    path.write_text("Name: old\nVersion: 0.1\n")
    found = read_distribution(path)
    assert (found.name, quirk_kinds(found)) == ("old", ["no file list"])


def test_the_formats_of_an_egg_info_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old-0.1.egg-info"
    path.mkdir()
    (path / "PKG-INFO").write_text("Name: old\nVersion: 0.1\n")
    (path / "requires.txt").write_text('six\n\n[:python_version<"3"]\nfutures>=2\n\n[test]\npytest\n')
    (path / "installed-files.txt").write_text("../old/__init__.py\nPKG-INFO\n")
    found = read_distribution(path)
    assert found.requires == ("six", 'futures>=2; (python_version<"3")', 'pytest; extra == "test"')
    assert [file.path for file in found.files] == ["old/__init__.py", "old-0.1.egg-info/PKG-INFO"]
    assert quirk_kinds(found) == []


def test_a_record_that_may_not_be_read_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dist_info(tmp_path)
    read = Path.read_bytes

    def refuse_record(self: Path) -> bytes:
        if self.name == "RECORD":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse_record)
    assert quirk_kinds(read_distribution(path)) == ["unreadable file", "no file list"]


def test_only_metadata_directories_are_found_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b-1.dist-info", "a-1.egg-info", "package", "c.egg"):
        (tmp_path / name).mkdir()
    found = find_distributions([tmp_path, tmp_path / "missing"])
    assert [path.name for path in found] == ["a-1.egg-info", "b-1.dist-info"]


def test_the_machine_has_distributions_that_can_be_read() -> None:
    roots = search_roots()
    assert len(set(roots)) == len(roots)
    names = set()
    for path in find_distributions(roots):
        try:
            names.add(read_distribution(path).name)
        except UnreadableDistributionError:
            continue
    assert "pytest" in names
