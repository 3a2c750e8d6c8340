"""Every mistake in a modelwatch.toml is told with its file, its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config import Config, find_config, load_config
from console.errors import UsageError

GOOD = """\
[[deployment]]
name = "a"
task = "binary"
score = "p"
predictions = { path = "p.parquet" }
"""
SECOND = GOOD.replace('"a"', '"b"')


def written(folder: Path, text: str) -> Path:
    path = folder / "modelwatch.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(folder: Path, text: str) -> list[str]:
    """The sentences, without the file's name; each has to begin with it."""
    path = written(folder, text)
    with pytest.raises(UsageError) as raised:
        load_config(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_a_good_configuration_is_read(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD + SECOND))
    assert [d.name for d in config.deployment] == ["a", "b"]
    assert config.console.window == "7d"
    store = config.store_path(tmp_path / "modelwatch.toml", {"XDG_DATA_HOME": "/data"})
    assert store.parts[:2] == (
        "/", "data",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD.replace('task = "binary"\n', ""), 1, ["`deployment[1].task` is missing", "add it"]),
        (GOOD.replace("score", "scroe"), 4, ["`deployment[1].scroe`", "check its spelling"]),
        (
            GOOD + '[deployment.labels]\nsource = { path = "x" }\nvalu = "late"\n',
            8,
            ["`deployment[1].labels.valu`", "check its spelling"],
        ),
        ('[console]\nrefresh = "often"\n' + GOOD, 2, ["`console.refresh`", "number", "'often'"]),
        ('[console]\nwindow = "7 fortnights"\n' + GOOD, 2, ["`console.window`", "90m, 6h, 7d"]),
        (GOOD + 'timezone = "Europe/Zurick"\n', 6, ["Europe/Zurick", "use a name like UTC"]),
        (
            GOOD.replace('"binary"', '"ranking"'),
            3,
            ["`deployment[1].task`", "'binary', 'multiclass' or 'regression'", "'ranking'"],
        ),
        (GOOD.replace('"a"', '"a b"'), 2, ["`deployment[1].name`", "starts with a letter"]),
        (GOOD + SECOND.replace('score = "p"', "score = 5"), 9, ["`deployment[2].score`", "5"]),
        (
            GOOD + 'segments = ["o", { name = "x", edges = [3, 1] }]\n',
            6,
            ["`deployment[1].segments[2]`", "edges must rise"],
        ),
        (GOOD.replace('"binary"', '"regression"'), 1, ["regression deployment needs `prediction`"]),
        ("colour = 3\n" + GOOD, 1, ["`colour` is not known here"]),
        ("[console]\n", 1, ["`deployment` is missing; add it"]),
        ("", 1, ["`deployment` is missing; add it"]),
        (
            GOOD + '[deployment.features]\nnumeric = ["x", "x"]\n',
            1,
            ["`deployment[1]`", "feature 'x' is listed twice"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    first = complaints(tmp_path, text)[0]
    number, _, sentence = first.partition(": ")
    assert int(number) == line, first
    for word in words:
        assert word in sentence, first


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = '[console]\nrefresh = "often"\n' + GOOD.replace("score", "scroe").replace(
        'task = "binary"\n', ""
    )
    found = complaints(tmp_path, text)
    assert any(line.startswith("2:") for line in found)
    assert any("scroe" in line for line in found)
    assert any("`deployment[1].task` is missing" in line for line in found)


def test_one_mistake_is_one_sentence(tmp_path: Path) -> None:
    assert len(complaints(tmp_path, GOOD.replace("score", "scroe"))) == 1


def test_two_deployments_of_one_name_are_refused(tmp_path: Path) -> None:
    found = complaints(tmp_path, GOOD + GOOD.replace('"a"', '"A"'))
    assert "two deployments are called" in found[0]
    assert "case does not count" in found[0]


def test_a_second_deployment_of_one_name_is_told_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace('"a"', '"late"')
    assert complaints(tmp_path, text + text)[0].startswith("7:")


def test_two_deployments_of_one_short_name_are_refused(tmp_path: Path) -> None:
    complaints(tmp_path, GOOD + GOOD)


def test_a_mistake_in_a_second_reference_is_told_with_its_line(tmp_path: Path) -> None:
    text = GOOD + '[[deployment.reference]]\npath = "r"\n[[deployment.reference]]\nversion = "q"\n'
    first = complaints(tmp_path, text)[0]
    assert "`deployment[1].reference[2].path` is missing" in first
    assert first.startswith("8:")


def test_a_misspelt_kind_of_feature_is_named(tmp_path: Path) -> None:
    first = complaints(tmp_path, GOOD + '[deployment.features]\nnumerc = ["x"]\n')[0]
    assert "numerc" in first


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + "x = \n")
    with pytest.raises(UsageError, match=r"line 6.*TOML") as raised:
        load_config(path)
    assert str(path) in str(raised.value)


def test_what_is_not_utf8_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "modelwatch.toml"
    path.write_bytes(GOOD.encode() + b'x = "\xff"\n')
    with pytest.raises(UsageError, match=rf"not UTF-8 \(byte {len(GOOD) + 5}\)"):
        load_config(path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path / "missing.toml")


def test_a_file_too_large_or_nested_too_deep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too large"):
        load_config(written(tmp_path, "#" * (4 * 1024 * 1024 + 1)))
    with pytest.raises(UsageError, match=r"nested too deep|TOML"):
        load_config(written(tmp_path, "x = " + "[" * 100_000))


def test_a_configuration_is_looked_for_here_then_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.raises(UsageError, match=r"--config.*demo"):
        find_config(None, environment)
    users = tmp_path / "xdg" / "modelwatch" / "modelwatch.toml"
    users.parent.mkdir(parents=True)
    users.write_text(GOOD)
    assert find_config(None, environment) == users
    here = written(tmp_path, GOOD)
    assert find_config(None, environment).resolve() == here
    given = {**environment, "MODELWATCH_CONFIG": str(users)}
    assert find_config(None, given) == users
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        find_config("nowhere.toml", given)


def test_each_configuration_has_a_store_of_its_own(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "deployment": [
                {"name": "a", "task": "binary", "score": "p", "predictions": {"path": "p"}}
            ]
        }
    )
    environment = {"XDG_DATA_HOME": str(tmp_path)}
    paths = {
        config.store_path(tmp_path / folder / "modelwatch.toml", environment)
        for folder in ("x/models", "y/models")
    }
    assert len(paths) == 2
    assert all(path.is_relative_to(tmp_path) for path in paths)
