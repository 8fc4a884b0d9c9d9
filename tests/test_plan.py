from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from runner import plan
from runner.model import Environment, Exclusion, Inclusion, Job, Limits, Sampling, Suite
from tests.makers import make_cell, make_image, make_job

IMAGES = {
    name: replace(make_image(name, ("cifar10-cnn", "vgg16")), released=released)
    for name, released in (
        ("torch-2.13", "2026-01-01"),
        ("torch-1.0", "2018-12-07"),
        ("theano-0.9", "2017-03-20"),
    )
}
SUITE = Suite(
    name="decade",
    title="t",
    protocol="fair",
    images=("*",),
    workloads={"cifar10-cnn": {"batch": 64}},
)


def labels(found: plan.Plan) -> list[str]:
    return [cell.label for cell in found.cells]


def test_cells_stand_in_the_order_of_the_releases() -> None:
    found = plan.expand(SUITE, IMAGES)

    assert labels(found) == [
        "theano-0.9/cifar10-cnn",
        "torch-1.0/cifar10-cnn",
        "torch-2.13/cifar10-cnn",
    ]
    assert found.cells[0].parameters["batch"] == 64
    assert found.cells[0].parameters["compiler"] == "default"


def test_axes_are_a_product_and_name_the_variant() -> None:
    suite = replace(SUITE, images=("torch-1*",), axes={"compiler": ("default", "xla")})

    assert labels(plan.expand(suite, IMAGES)) == [
        "torch-1.0/cifar10-cnn/compiler=default",
        "torch-1.0/cifar10-cnn/compiler=xla",
    ]


def test_what_a_rule_leaves_out_keeps_its_place_and_reason() -> None:
    rule = Exclusion(image="theano-*", workload="*", parameters={"batch": 64}, reason="too slow")
    other = replace(rule, image="torch-*", parameters={"batch": 1})
    images = {**IMAGES, "torch-1.0": make_image("torch-1.0", ("vgg16",))}

    found = plan.expand(replace(SUITE, exclude=(rule, other)), images)

    assert labels(found) == ["torch-2.13/cifar10-cnn"]
    assert [(skip.cell.image, skip.reason) for skip in found.skips] == [
        ("theano-0.9", "too slow"),
        ("torch-1.0", "torch-1.0 does not claim the workload cifar10-cnn"),
    ]


def test_an_included_cell_that_is_there_already_is_not_measured_twice() -> None:
    same = Inclusion(images=("torch-*",), workload="cifar10-cnn", parameters={"batch": 64})
    more = replace(same, parameters={"batch": 32})

    found = plan.expand(replace(SUITE, include=(same, more)), IMAGES)

    assert labels(found)[3:] == [
        "torch-2.13/cifar10-cnn/batch=32",
        "torch-1.0/cifar10-cnn/batch=32",
    ]


def test_selection_is_by_glob_over_label_or_image() -> None:
    cell = make_cell("tensorflow-1.13.1", "vgg16", "compiler=xla")

    for glob in ("tensorflow-*/vgg16*", "tensorflow-*", "*/vgg16", "*/compiler=xla"):
        assert plan.selected(cell, [glob]), glob
    for glob in ("tensorflow", "torch-*", "*/cifar10*"):
        assert not plan.selected(cell, [glob]), glob
    assert plan.selected(cell, [])


def jobs(order_seed: int = 1) -> tuple[Job, ...]:
    return plan.jobs(
        plan.expand(SUITE, IMAGES).cells,
        sampling=Sampling(launches=4),
        limits=Limits(),
        cores=(0,),
        seed=7,
        order_seed=order_seed,
    )


def test_each_round_touches_every_cell_once_and_is_shuffled() -> None:
    made = jobs()
    rounds = [made[start : start + 3] for start in range(0, 12, 3)]

    for number, part in enumerate(rounds):
        assert {job.cell.image for job in part} == set(IMAGES)
        assert {job.launch for job in part} == {number}
    assert len({tuple(job.cell.image for job in part) for part in rounds}) > 1
    assert len({job.id for job in made}) == 12


def test_the_order_is_the_seed_s() -> None:
    assert jobs(1) == jobs(1)
    assert jobs(1) != jobs(2)


def environment(digest: str = "sha256:a") -> Environment:
    return Environment(
        image=make_image(), digest=digest, location="x", lock_sha256="l", scripts_sha256="s"
    )


def test_identity_changes_with_whatever_makes_another_result() -> None:
    job = make_job()
    same = plan.identity(make_job(launch=2), environment(), "docker", "host")

    assert plan.identity(job, environment(), "docker", "host") == same
    others = {
        plan.identity(job, environment("sha256:b"), "docker", "host"),
        plan.identity(job, replace(environment(), scripts_sha256="t"), "docker", "host"),
        plan.identity(job, environment(), "process", "host"),
        plan.identity(job, environment(), "docker", "other"),
        plan.identity(make_job(make_cell(batch=1)), environment(), "docker", "host"),
        plan.identity(replace(job, seed=2), environment(), "docker", "host"),
        plan.identity(replace(job, cores=(0,)), environment(), "docker", "host"),
        plan.identity(replace(job, limits=Limits(memory_bytes=1)), environment(), "docker", "host"),
        plan.identity(
            replace(job, sampling=Sampling(measure_steps=9)), environment(), "docker", "host"
        ),
        plan.identity(
            replace(job, cell=replace(job.cell, protocol="as-published")),
            environment(),
            "docker",
            "host",
        ),
    }
    assert same not in others
    assert len(others) == 10


def test_resume_launches_what_is_missing_of_each_cell() -> None:
    planned = jobs()
    identities = {job.id: job.cell.image for job in planned}

    todo = plan.remaining(planned, identities, ["torch-1.0"] * 3 + ["theano-0.9"] * 4 + ["gone"])

    assert Counter(job.cell.image for job in todo) == {"torch-1.0": 1, "torch-2.13": 4}


def test_an_image_that_could_not_be_made_is_never_done() -> None:
    planned = jobs()

    assert plan.remaining(planned, {job.id: "" for job in planned}, []) == planned


def test_cells_of_the_project_matrix_are_distinct() -> None:
    from runner.config import load_images, load_matrix

    root = Path(__file__).parent.parent
    images = load_images(root)
    for suite in load_matrix(root / "matrix.yaml", images).suites.values():
        found = plan.expand(suite, images)
        every = [*found.cells, *(skip.cell for skip in found.skips)]
        assert len({cell.label for cell in every}) == len(every), suite.name


def test_a_glob_with_an_exclamation_mark_takes_away() -> None:
    found = plan.expand(replace(SUITE, images=("*", "!torch-2*")), IMAGES)

    assert labels(found) == ["theano-0.9/cifar10-cnn", "torch-1.0/cifar10-cnn"]
