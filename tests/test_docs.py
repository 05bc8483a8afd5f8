"""README and docs: generated parts are fresh, links arrive, and every command and file runs.

The commands are run word for word, in the order of the page, with options appended that make the
audits small (a tiny model, two pairs, three checks) where the page does not give them itself.
"""

import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from audit.engine.listing import with_catalogue
from principles import unmodified_model
from principles.catalogue import all_checks
from tests import checks_page

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TUTORIALS = [page for page in PAGES if page.name not in {"checks.md", "changelog.md"}]
ELSEWHERE = ("python3 -m venv", ". .venv/", "pip install", "OMP_NUM_THREADS=1 python -m pytest")
SMALL = {"--samples": "2", "--profile": "quick", "--select": "P101,P104,P105"}


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    """Language and text of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def files(page):
    """Blocks whose first line is the name of a file."""
    named = [(re.match(r"# ([\w./-]+\.\w+)\n", text), text) for _, text in blocks(page)]
    return {match[1]: text for match, text in named if match}


def commands(page):
    """Each command of the shell blocks with the exit code that the page states, 0 unless told."""
    for language, text in blocks(page):
        for line in text.splitlines() if language == "sh" else ():
            command, _, note = line.partition("  # ")
            code = re.fullmatch(r"exit code (\d)", note)
            assert not note or code, f"{name_of(page)}: what is '# {note}'?"
            *before, last = command.split(" && ")
            yield from ((one, 0) for one in before)
            yield last, int(code[1]) if code else 0


def small(words, model):
    """The words with everything added that keeps an audit small."""
    if words[0] not in {"benchmark", "check", "equivalence", "map", "pairs", "plan"} or {
        "--show-settings"
    } & set(words):
        return words
    for option in ("--model", "--pretrained"):
        at = words.index(option) if option in words else None
        if at is not None and not words[at + 1].startswith("local-dir:"):
            words = words[:at] + words[at + 2 :]
    added = {} if any(w.startswith("local-dir:") for w in words) else {"--model": model}
    if words[0] != "map":
        added["--samples"] = SMALL["--samples"]
    if words[0] in {"benchmark", "check", "plan"}:
        added |= SMALL
    if words[0] == "pairs":
        added["--profile"] = SMALL["--profile"]
    for option, value in added.items():
        if option not in words or option == "--samples":
            words = [*words, option, value]
    return words


@pytest.fixture
def folder(tmp_path):
    """What a reader has: a picture, a folder of pictures, and the files of the pages."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,label,x0,y0,x1,y1"]
    for n in range(6):
        pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
        rows.append(f"{n}.png,{'cat' if n % 2 else 'dog'},2,2,12,14")
    (tmp_path / "photos" / "manifest.csv").write_text("\n".join(rows))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    for n in range(8):
        place = tmp_path / "classes" / "abcd"[n % 4] / f"{n}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels + np.uint8(n)).save(place)
    for page in TUTORIALS:
        for name, text in files(page).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def installed(page, folder, monkeypatch):
    """The plug-ins of the pages, as pip would have installed them; the check where it is added."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(folder)
    if page.name == "contributing.md":
        checks = str(folder / "principles" / "unmodified_model")
        monkeypatch.setattr(unmodified_model, "__path__", [*unmodified_model.__path__, checks])
    importlib.invalidate_caches()
    all_checks.cache_clear()
    yield
    all_checks.cache_clear()


@pytest.mark.parametrize("page", TUTORIALS, ids=name_of)
def test_every_command_does_what_the_page_says(page, folder, installed, command, tiny_model):
    found = list(commands(page))
    assert found
    for text, expected in found:
        if text.startswith(ELSEWHERE):
            continue
        text, _, target = text.partition(" > ")  # noqa: PLW2901
        program, *words = shlex.split(text)
        if program == "python":
            runpy.run_path(str(folder / words[0]))
        elif program == "cp":
            subprocess.run([program, *words], check=True)
        else:
            assert program == "audit", text
            done = command(*small(words, tiny_model))
            assert done.exit_code == expected, f"{text}\n{done.output}"
            if target:
                Path(target).write_text(done.output)


def test_the_example_of_a_check_passes_the_example_of_its_test(folder):
    (folder / "conftest.py").write_text(
        "from pathlib import Path\n\n"
        "from principles import unmodified_model\n"
        "from tests.principles.conftest import judged, reference, roles  # noqa: F401\n\n"
        "own = Path(__file__).parent / 'principles' / 'unmodified_model'\n"
        "unmodified_model.__path__.append(str(own))\n"
    )
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = subprocess.run(
        [sys.executable, *words, "--rootdir", folder, "tests/principles/test_p190.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_arrive(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page", [p for p in PAGES if ":start -->" in p.read_text("utf-8")], ids=name_of
)
def test_tables_are_fresh(page):
    text = page.read_text("utf-8")
    fresh = with_catalogue(text, page.name)
    assert text == fresh, f"run audit list catalogue --write {name_of(page)}"


def test_the_catalogue_of_checks_is_fresh():
    written = checks_page.PAGE.read_text("utf-8")
    assert written == checks_page.page(), "run python -m tests.checks_page --write"


def test_every_check_has_an_example_of_a_pass_and_of_a_violation():
    sections = dict(re.findall(r"^### (P\d+) (.*?)(?=^###|\Z)", checks_page.page(), re.M | re.S))
    assert list(sections) == [check.id for check in all_checks()]
    for text in sections.values():
        made = "Evidence made by hand" in text
        assert made or "Passed by:** none" not in text
        assert made or "Violated by:** none" not in text or "**A violation**" in text


def test_configuration_on_the_pages_is_valid():
    for page in PAGES:
        for language, text in blocks(page):
            assert language in {"sh", "python", "toml", "yaml", ""}, f"{page.name}: {language}"
            if language == "yaml":
                yaml.safe_load(text)
            if language == "toml":
                tomllib.loads(text)


def test_write_brings_tables_up_to_date(command):
    Path("page.md").write_text("before\n<!-- checks:start -->\nold\n<!-- checks:end -->\nafter\n")
    done = command("list", "catalogue", "--write", "page.md")
    assert done.exit_code == 0
    assert "brought up to date" in done.output
    text = Path("page.md").read_text("utf-8")
    assert text.startswith("before\n<!-- checks:start -->\n")
    assert text.endswith("<!-- checks:end -->\nafter\n")
    assert "| `P104` score-preserved |" in text
    assert "is up to date" in command("list", "catalogue", "--write", "page.md").output
    for broken, words in (("no markers", "explainers"), ("<!-- checks:start -->", "expected both")):
        Path("page.md").write_text(broken)
        refused = command("list", "catalogue", "--write", "page.md")
        assert refused.exit_code == 2
        assert words in refused.output
    assert command("list", "checks", "--write", "page.md").exit_code == 2


def test_a_command_that_the_pages_must_not_have_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\npip install . && audit check --explaner x  # exit code 1\n```\n")
    assert list(commands(page)) == [("pip install .", 0), ("audit check --explaner x", 1)]
