from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.config import load_images, load_matrix, share, wheel_folders
from runner.documents import SCHEMAS
from runner.errors import ConfigurationError
from runner.model import GpuNeeds, Tolerance

ROOT = Path(__file__).parent.parent
IMAGES = ("tensorflow-1.0.0", "tensorflow-1.13.1", "pytorch-1.0.1")

GOOD = """\
schema: 1
default_suite: decade
default_profile: quick
limits: {memory_gib: 4, cores: 2}
profiles:
  quick: {launches: 3, warmup_steps: 5, measure_steps: 20}
suites:
  decade:
    title: one network
    images: ["*"]
    workloads:
      cifar10-cnn: {batch: 64}
    limits: {timeout_s: 60}
"""


def problems_of(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "matrix.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_matrix(path, IMAGES)
    return caught.value.problems


def test_a_good_matrix_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    path.write_text(GOOD, encoding="utf-8")

    matrix = load_matrix(path, IMAGES)

    suite = matrix.suites["decade"]
    assert suite.workloads == {"cifar10-cnn": {"batch": 64}}
    assert suite.limits.memory_bytes == 4 * 1024**3
    assert suite.limits.timeout_s == 60
    assert matrix.profiles["quick"].launches == 3
    assert matrix.text == GOOD


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{batch: 64}",
            "{softmax: twice}",
            "line 12: suites.decade.workloads.cifar10-cnn.softmax: softmax is 'once' under the "
            "protocol 'fair', found 'twice'",
        ),
        (
            "{batch: 64}",
            "{images: -1}",
            "line 12: suites.decade.workloads.cifar10-cnn.images: images must be a whole number "
            "of at least 0, found -1",
        ),
        (
            '    images: ["*"]\n',
            "",
            "line 8: suites.decade: 'images' missing; or name a 'published' suite",
        ),
        (
            '    images: ["*"]\n',
            '    images: ["*"]\n    profiles: {quik: {launches: 2}}\n',
            "line 11: suites.decade.profiles.quik: no profile 'quik'; did you mean 'quick'?",
        ),
        (
            "timeout_s",
            "timout_s",
            "line 13: suites.decade.limits.timout_s: unknown key; did you mean 'timeout_s'?",
        ),
        (
            '["*"]',
            '["tensorflw-*"]',
            "line 10: suites.decade.images[0]: no image matches 'tensorflw-*'; "
            "did you mean 'tensorflow-1.0.0'?",
        ),
        (
            "cifar10-cnn:",
            "cifar10-cn:",
            "line 12: suites.decade.workloads.cifar10-cn: no workload 'cifar10-cn'; "
            "did you mean 'cifar10-cnn'?",
        ),
        (
            "{batch: 64}",
            "{bach: 64}",
            "line 12: suites.decade.workloads.cifar10-cnn.bach: cifar10-cnn has no parameter "
            "'bach'; did you mean 'batch'?",
        ),
        (
            "{batch: 64}",
            "{batch: 0}",
            "line 12: suites.decade.workloads.cifar10-cnn.batch: batch must be a whole number "
            "above 0, found 0",
        ),
        (
            "{batch: 64}",
            "{batch: 1.5}",
            "line 12: suites.decade.workloads.cifar10-cnn.batch: batch must be a whole number "
            "above 0, found 1.5",
        ),
        (
            "{batch: 64}",
            "{compiler: xlaa}",
            "line 12: suites.decade.workloads.cifar10-cnn.compiler: compiler cannot be 'xlaa'; "
            "did you mean 'xla'?",
        ),
        (
            "default_suite: decade",
            "default_suite: decad",
            "line 2: default_suite: no suite 'decad'; did you mean 'decade'?",
        ),
        (
            "launches: 3",
            "launches: three",
            "line 6: profiles.quick.launches: expected integer, found 'three'",
        ),
        (
            "measure_steps: 20",
            "measure_steps: 20, precission: 1%",
            "line 6: profiles.quick.precission: unknown key; did you mean 'precision'?",
        ),
        (
            "measure_steps: 20",
            "measure_steps: 20, precision: 1",
            "line 6: profiles.quick.precision: expected a share such as 1% or 0.01, found 1",
        ),
        (
            "title: one network",
            "title: one network\n    precision: narrow",
            "line 10: suites.decade.precision: expected a share such as 1% or 0.01, found 'narrow'",
        ),
        (
            "limits: {memory_gib: 4, cores: 2}",
            "disturbance: {other_percent: 5}",
            "line 4: disturbance.other_percent: unknown key; did you mean 'others_percent'?",
        ),
        ("schema: 1", "schema: 2", "line 1: schema: is 2; this version of runner reads 1"),
        ("title: one network", "", "line 8: suites.decade: 'title' is missing"),
        (
            "title: one network",
            "protocol: fare\n    title: x",
            "line 9: suites.decade.protocol: 'fare' is not known; did you mean 'fair'?",
        ),
    ],
)
def test_each_mistake_is_named_with_its_place(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    found = problems_of(GOOD.replace(old, new), tmp_path)

    assert found == [expected]


def test_precision_and_disturbance_are_read(tmp_path: Path) -> None:
    path = tmp_path / "matrix.yaml"
    text = GOOD.replace("launches: 3", "precision: 1%, launches: 3, max_launches: 30")
    text = text.replace("title: one network", "title: one network\n    precision: 0.02")
    text += "disturbance: {others_percent: 25, steal_percent: null, swapped_mib: 4, repeats: 0}\n"
    path.write_text(text, encoding="utf-8")

    matrix = load_matrix(path, IMAGES)

    assert (matrix.profiles["quick"].precision, matrix.profiles["quick"].max_launches) == (0.01, 30)
    assert matrix.suites["decade"].precision == 0.02
    assert matrix.tolerance == Tolerance(
        others_share=0.25, steal_share=None, swapped_bytes=4 * 1024**2, repeats=0
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [("1%", 0.01), ("2.5 %", 0.025), (0.01, 0.01), ("0.5", 0.5), (1, None), (0, None), ("x", None)],
)
def test_a_share_is_a_percentage_or_a_number(given: str | float, read: float | None) -> None:
    found = share(given)

    assert found == (None if read is None else pytest.approx(read))


def test_what_a_suite_asks_of_gpus_is_read_and_held_to_its_device(tmp_path: Path) -> None:
    asked = "    gpu: {memory_gib: 40, architectures: [sm_80, sm_90]}\n"
    path = tmp_path / "matrix.yaml"
    path.write_text(f"{GOOD}    device: cuda\n{asked}", encoding="utf-8")

    found = load_matrix(path, IMAGES).suites["decade"].gpu

    assert found == GpuNeeds(memory_bytes=40 * 1024**3, architectures=("sm_80", "sm_90"))
    (problem,) = problems_of(GOOD + asked, tmp_path)
    assert "the suite measures on processors; add 'device: cuda'" in problem
    (problem,) = problems_of(
        f"{GOOD}    device: cuda\n    gpu: {{architectures: [hopper]}}", tmp_path
    )
    assert "hopper" in problem


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("timeout_s", "timout_s").replace("memory_gib: 4", "memory_gib: lots")

    found = problems_of(text, tmp_path)

    assert len(found) == 2
    text = GOOD.replace("{batch: 64}", "{bach: 64}").replace('["*"]', '["nothing"]')
    assert len(problems_of(text, tmp_path)) == 2


def test_a_key_given_twice_is_not_taken_in_silence(tmp_path: Path) -> None:
    assert problems_of(GOOD + "schema: 1\n", tmp_path) == [
        "line 14: schema: given twice, first in line 1"
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "not YAML"),
        ("", "expected object, found nothing"),
        ("- 1", "expected object, found a list"),
        ("schema: !!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_no_matrix_is_said_to_be_none(text: str, words: str, tmp_path: Path) -> None:
    assert any(words in problem for problem in problems_of(text, tmp_path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_matrix(tmp_path / "none.yaml", IMAGES)


def test_the_project_s_own_files_are_good() -> None:
    images = load_images(ROOT)
    matrix = load_matrix(ROOT / "matrix.yaml", images)

    assert matrix.default_suite == "decade"
    assert matrix.suites["decade"].images[0] == "*"


def write_image(root: Path, text: str) -> None:
    folder = root / "images" / "torch-9"
    folder.mkdir(parents=True)
    (root / "scripts").mkdir()
    (root / "scripts" / "train_torch.py").touch()
    (folder / "image.yaml").write_text(text, encoding="utf-8")


def test_every_mistake_of_an_image_is_told(tmp_path: Path) -> None:
    write_image(
        tmp_path,
        'framework: torch\nframework_version: "9"\nreleased: "2030-01-01"\nlanguage: python\n'
        'language_version: "3.11"\nscript: train_torh.py\nworkloads: [vgg-16]\n'
        "base_licence: none\n",
    )

    with pytest.raises(ConfigurationError) as caught:
        load_images(tmp_path)

    assert caught.value.problems == [
        "images/torch-9/image.yaml: line 6: script: no file scripts/train_torh.py; "
        "did you mean 'train_torch.py'?",
        "images/torch-9/image.yaml: line 7: workloads[0]: no workload 'vgg-16'; "
        "did you mean 'vgg16'?",
        "images/torch-9/image.yaml: line 1: the folder has no Dockerfile",
        "images/torch-9/image.yaml: line 1: the folder has no requirements.lock",
    ]


def test_wheel_folders_are_pip_s_own(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "more").mkdir()
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nfind-links = {tmp_path}/wheels\n  file://{tmp_path}/more\n")

    found = wheel_folders(
        {"PIP_CONFIG_FILE": str(config), "PIP_FIND_LINKS": f"{tmp_path}/wheels {tmp_path}/none"},
        tmp_path,
    )

    assert found == (tmp_path / "wheels", tmp_path / "more")


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_schemas_are_schemas(path: Path) -> None:
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_a_published_suite_names_a_folder_and_changes_profiles(tmp_path: Path) -> None:
    (tmp_path / "results/published/vgg16-xla").mkdir(parents=True)
    kept = GOOD[: GOOD.index('    images: ["*"]')]
    text = kept + (
        "    published: vgg16-xla\n"
        "    batches: {vgg16: 2}\n"
        "    profiles: {quick: {measure_steps: 6}}\n"
    )
    path = tmp_path / "matrix.yaml"
    path.write_text(text, encoding="utf-8")

    suite = load_matrix(path, IMAGES).suites["decade"]

    assert (suite.published, suite.batches, suite.images) == ("vgg16-xla", {"vgg16": 2}, ())
    assert suite.profiles["quick"].measure_steps == 6
    assert suite.profiles["quick"].launches == 3
    assert problems_of(text.replace("vgg16-xla", "vgg16-xlb"), tmp_path) == [
        "line 10: suites.decade.published: no folder 'vgg16-xlb' in results/published; "
        "did you mean 'vgg16-xla'?"
    ]
    assert problems_of(text + "    protocol: fair\n", tmp_path) == [
        "line 13: suites.decade.protocol: the rows of 'published' say this; leave it out"
    ]
    assert problems_of(text.replace("{vgg16: 2}", "{vgg: 2}"), tmp_path) == [
        "line 11: suites.decade.batches.vgg: no workload 'vgg'; did you mean 'vgg19'?"
    ]
    wrong = text + "    stand_ins: {pytorch-1.0.1: tensorflow-1.0.1}\n"
    assert problems_of(wrong, tmp_path) == [
        "line 13: suites.decade.stand_ins.pytorch-1.0.1: no image 'tensorflow-1.0.1'; "
        "did you mean 'tensorflow-1.0.0'?"
    ]
