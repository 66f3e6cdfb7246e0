"""Names lead to files: the working folder's first, then those shipped."""

from pathlib import Path

import pytest

from pagerproof.errors import UsageError
from pagerproof.scenario.find import (
    fault_model_ids,
    find_fault_model,
    find_intents,
    find_scenario,
    resolve,
    scenario_ids,
    shipped_folder,
)

SCENARIO = "schema: pagerproof/scenario/1\nid: mine\ntitle: Mine\n"


def write(path: Path, text: str = SCENARIO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_shipped_scenarios_are_found_by_name_from_any_folder(tmp_path: Path) -> None:
    assert find_scenario("calm_baseline", folder=tmp_path) == shipped_folder("scenarios") / "calm_baseline.yaml"
    assert find_scenario("calm_baseline.yaml", folder=tmp_path) == shipped_folder("scenarios") / "calm_baseline.yaml"
    assert "ten_thousand_and_first" in scenario_ids(folder=tmp_path)


def test_the_working_folder_is_the_one_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = write(tmp_path / "scenarios" / "mine.yaml")
    assert find_scenario("mine") == mine


def test_a_users_file_wins_over_the_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    beside = write(tmp_path / "calm_baseline.yaml")
    assert find_scenario("calm_baseline", folder=tmp_path) == beside
    inside = write(tmp_path / "scenarios" / "calm_baseline.yaml")
    assert find_scenario("calm_baseline", folder=tmp_path) == inside
    assert scenario_ids(folder=tmp_path).count("calm_baseline") == 1


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "deep" / "odd name.yml")
    assert find_scenario("deep/odd name.yml", folder=tmp_path) == path
    assert find_scenario(str(path), folder=tmp_path / "elsewhere") == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ten_thousand", "no scenario 'ten_thousand': did you mean 'ten_thousand_and_first'?"),
        ("Calm-Baseline", "no scenario 'Calm-Baseline': did you mean 'calm_baseline'?"),
        ("calm_basline.yaml", "there is no file 'calm_basline.yaml': did you mean 'calm_baseline', by its name alone?"),
        ("elsewhere/mine.yaml", "there is no file 'elsewhere/mine.yaml': did you mean 'mine', by its name alone?"),
        ("scenarios/mien.yaml", "there is no file 'scenarios/mien.yaml': did you mean 'mine.yaml'?"),
        ("scenarios/", "'scenarios/' is a folder, not the file of a scenario"),
        ("x" * 5000 + ".yaml", "there is no file"),
        ("a\0b", "no scenario 'a\\x00b'"),
        ("", "no scenario ''"),
        ("..", "no scenario '..'"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_one(tmp_path: Path, name: str, message: str) -> None:
    write(tmp_path / "scenarios" / "mine.yaml")
    with pytest.raises(UsageError) as caught:
        find_scenario(name, folder=tmp_path)
    assert str(caught.value).startswith(message)


def test_only_files_that_say_what_they_are_count_in_the_working_folder_itself(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml")
    write(tmp_path / "compose.yaml", "services: {}\n")
    write(tmp_path / "latency.yaml", "schema: pagerproof/fault-model/1\n")
    ids = scenario_ids(folder=tmp_path)
    assert "mine" in ids
    assert "compose" not in ids
    assert "latency" not in ids
    assert "latency" in fault_model_ids(folder=tmp_path)
    assert "mine" not in fault_model_ids(folder=tmp_path)


def test_fault_models_and_intents_are_found_in_their_own_folders(tmp_path: Path) -> None:
    fault = write(tmp_path / "fault_models" / "mine.yaml")
    intents = write(tmp_path / "scenarios" / "intents" / "mine.yaml")
    assert find_fault_model("mine", folder=tmp_path) == fault
    assert find_intents("mine", folder=tmp_path) == intents
    with pytest.raises(UsageError, match="no fault model 'mime': did you mean 'mine'"):
        find_fault_model("mime", folder=tmp_path)
    with pytest.raises(UsageError, match="no set of intents 'mime': did you mean 'mine'"):
        find_intents("mime", folder=tmp_path)


def test_a_path_without_suffix_does_not_escape_into_other_folders(tmp_path: Path) -> None:
    write(tmp_path / "secret.yaml")
    with pytest.raises(UsageError):
        find_fault_model("../secret", folder=tmp_path / "work")


def test_what_a_scenario_names_is_looked_for_beside_it_first(tmp_path: Path) -> None:
    scenario = write(tmp_path / "scenarios" / "mine.yaml")
    here = write(tmp_path / "calls.csv")
    assert resolve(scenario, "calls.csv", folder=tmp_path) == here
    beside = write(tmp_path / "scenarios" / "calls.csv")
    assert resolve(scenario, "calls.csv", folder=tmp_path) == beside
    assert resolve(scenario, str(here), folder=tmp_path) == here


def test_what_a_scenario_names_below_a_data_folder_may_be_shipped(tmp_path: Path) -> None:
    scenario = write(tmp_path / "mine.yaml")
    shipped = shipped_folder("scenarios") / "calm_baseline.yaml"
    assert resolve(scenario, "scenarios/calm_baseline.yaml", folder=tmp_path) == shipped


@pytest.mark.parametrize("name", ["absent.csv", "", "x" * 5000, "scenarios/absent.yaml"])
def test_what_is_nowhere_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="there is no file or folder"):
        resolve(write(tmp_path / "mine.yaml"), name, folder=tmp_path)
