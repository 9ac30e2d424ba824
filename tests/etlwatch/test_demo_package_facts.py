"""What packages say about themselves becomes comparable, however they say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.demo.package_facts import (
    duplicated_names,
    is_usual_version,
    kind_of_file,
    normalise_licence,
    normalise_name,
    parse_requirement,
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
