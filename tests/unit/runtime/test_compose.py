"""``python -m stages.dti compose``: its help, and the composed configuration printed."""

from __future__ import annotations

import pytest
import yaml

from stages.dti.commands import compose as module
from stages.dti.commands.compose import main
from stages.dti.paths import ROOT


@pytest.fixture(autouse=True)
def _nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("params.yaml was written")

    monkeypatch.setattr(module, "write_text", refuse)


def test_help_names_every_group_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    conf = ROOT / "conf"
    for file in conf.glob("*/**/*.yaml"):
        if file.stem.startswith("_"):
            continue
        group = file.parent.relative_to(conf).as_posix()
        line = next(line for line in shown.splitlines() if line.startswith(f"  {group}: "))
        assert file.stem in line.split(": ")[1].split(", ")
    for word in ("--cfg", "group=option", "key=value"):
        assert word in shown


@pytest.mark.parametrize("flag", [["--cfg"], ["--cfg", "job"]])
def test_the_configuration_is_printed_as_it_would_be_written(
    capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    assert main(flag) == 0
    assert capsys.readouterr().out == (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert main(["trainer.max_epochs=7", *flag]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == 7


def test_what_is_wrong_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["split.train_fraction=0.9", "--cfg"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "must sum to 1" in shown.err


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--multirun"])
    assert end.value.code == 2
    assert "--multirun" in capsys.readouterr().err
