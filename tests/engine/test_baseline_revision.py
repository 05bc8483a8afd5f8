"""``--baseline-rev``: a git revision audited as the baseline, and what is refused."""

from pathlib import Path

import pytest

from audit.config.settings import Settings, SettingsError
from audit.engine.baseline_revision import with_baseline_of_revision
from audit.engine.checking import check_explainer
from audit.engine.git_revision import commit_of, worktree
from audit.errors import IncompleteError
from audit.result.document import load_result
from tests.gate.regressing_explainer import FAITHFUL, REGRESSED, git

# The fault lies in a helper, so that the helper of the revision has to be the one that runs.
HELPER = "def kept(token):\n    return token{}\n"
EXPLAINER = REGRESSED.replace("token.clamp(min=0) @", "kept(token) @").replace(
    "import torch\n", "import torch\nfrom helper import kept\n", 1
)
CUT = ".clamp(min=0)"


def commit(message, **files):
    for name, text in files.items():
        Path(f"{name}.py").write_text(text)
        git("add", f"{name}.py")
    git("commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose explainers lie in a folder below its root, where the audit runs."""
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    git("init", "-q", "-b", "main", cwd=tmp_path)
    commit("no explainer yet")
    git("tag", "empty")
    return tmp_path / "below"


@pytest.fixture
def settings(tiny_model):
    def made(explainer="ours.py:explain", **more):
        given = {
            "explainer": explainer,
            "model": tiny_model,
            "samples": 2,
            "profile": "quick",
            "select": ("P101", "P104"),
            "history": False,
            **more,
        }
        return Settings(**given)

    return made


@pytest.mark.supervised
def test_only_what_is_new_since_the_revision_fails(repository, settings):
    commit("cut in the helper", ours=EXPLAINER, helper=HELPER.format(CUT))
    git("tag", "cut")
    commit("whole", helper=HELPER.format(""))
    Path("helper.py").write_text(HELPER.format(CUT))  # again, and not yet committed

    known, _ = check_explainer(settings(baseline_rev="cut", out="known"))
    assert known.exit_code == 0
    assert {c.id: c.is_new for c in known.checks} == {"P101": None, "P104": False}
    assert not any("another model" in note for note in known.notes)
    assert known.conditions.folder == "below/"
    baseline = load_result(Path("known/baseline/result.json").read_text(encoding="utf-8"))
    assert baseline.conditions.git_commit == git("rev-parse", "cut")
    assert baseline.explainer.source_file == known.explainer.source_file == "ours.py"
    assert baseline.exit_code == 1
    assert Path("known/baseline/evidence").is_dir()

    new, _ = check_explainer(settings(baseline_rev="main", out="new"))
    assert new.exit_code == 1
    assert {c.id: c.is_new for c in new.checks} == {"P101": None, "P104": True}
    assert git("worktree", "list").count("\n") == 0
    assert not Path("audit-report").exists()


def test_an_explainer_that_ends_the_process_leaves_no_baseline(repository, settings):
    commit("ends it", ours="import os\n" + FAITHFUL.replace("    seen = []", "    os._exit(0)"))
    Path("audit-report/baseline").mkdir(parents=True)
    Path("audit-report/baseline/result.json").write_text("of an older audit")
    Path("ours.py").write_text(FAITHFUL)
    with pytest.raises(IncompleteError, match=r"without a verdict: .*os\._exit"):
        with_baseline_of_revision(settings(baseline_rev="main"))
    assert git("worktree", "list").count("\n") == 0


def test_a_function_that_the_revision_lacks_is_named(repository, settings):
    commit("another name", ours=FAITHFUL.replace("def explain(", "def older("))
    Path("ours.py").write_text(FAITHFUL)
    with pytest.raises(SettingsError, match=r"revision 'main': .*expected a function 'explain'"):
        with_baseline_of_revision(settings(baseline_rev="main"))


def test_a_module_of_the_working_tree_is_no_part_of_the_revision(repository, settings, monkeypatch):
    commit("whole", ours=FAITHFUL)
    away = f"import sys\nsys.path.insert(0, '{repository}')\nimport installed\n"
    commit("a module by its absolute path", ours=away + FAITHFUL, installed="x = 1\n")
    with pytest.raises(SettingsError, match="imports 'installed' from the working tree"):
        with_baseline_of_revision(settings(baseline_rev="main"))


@pytest.mark.parametrize(
    ("explainer", "more", "message"),
    [
        ("ours.py:explain", {"baseline_rev": "nowhere"}, "no revision 'nowhere' here; give a"),
        ("ours.py:explain", {"baseline_rev": "--all"}, "no revision '--all' here"),
        ("ours.py:explain", {"baseline_rev": "empty"}, "'below/ours.py' is not in revision 'em"),
        ("grad-eclip", {}, "'grad-eclip' does not come from a file of the repository"),
        ("captum:Saliency", {}, "would be the same at every revision"),
        ("/elsewhere.py:explain", {}, "would be the same at every revision"),
        ("ours.py:explain", {"baseline": "b.json"}, "does not go with --baseline;"),
        ("ours.py:explain", {"from_evidence": "e"}, "does not go with --from-evidence;"),
    ],
)
def test_what_cannot_be_a_baseline_is_refused(repository, settings, explainer, more, message):
    commit("whole", ours=FAITHFUL)
    with pytest.raises(SettingsError) as refused:
        with_baseline_of_revision(settings(explainer, **{"baseline_rev": "main", **more}))
    assert message in str(refused.value)


def test_a_module_is_found_as_a_file(repository, settings):
    commit("whole", ours=FAITHFUL)
    with pytest.raises(SettingsError, match=r"'below/ours\.py' is not in revision 'empty'"):
        with_baseline_of_revision(settings("ours:explain", baseline_rev="empty"))


def test_a_shallow_clone_is_named_as_the_cause(repository, settings, tmp_path, monkeypatch):
    commit("one", ours=FAITHFUL)
    commit("two", ours=FAITHFUL + "\n")
    git("clone", "-q", "--depth", "1", f"file://{tmp_path}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone" / "below")
    with pytest.raises(SettingsError, match="shallow clone: fetch its history first"):
        with_baseline_of_revision(settings(baseline_rev="main~1"))


def test_without_git_or_a_repository_the_message_says_so(tmp_path, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SettingsError, match="needs a git repository"):
        with_baseline_of_revision(settings(baseline_rev="main"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="needs the command git, found none"):
        with_baseline_of_revision(settings(baseline_rev="main"))


def test_a_worktree_made_within_a_hook_leaves_index_and_hooks_alone(repository, monkeypatch):
    commit("whole", ours=FAITHFUL)
    Path("ours.py").write_text(REGRESSED)
    git("add", "ours.py")
    top = Path(git("rev-parse", "--show-toplevel"))
    hook = top / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hook-ran\n")
    hook.chmod(0o755)
    with monkeypatch.context() as within:
        within.setenv("GIT_DIR", str(top / ".git"))
        within.setenv("GIT_INDEX_FILE", str(top / ".git" / "index"))
        with worktree(commit_of("main")) as (tree, _):
            assert (tree / "below" / "ours.py").read_text() == FAITHFUL
            assert not (tree / "hook-ran").exists()
    assert not tree.exists()
    assert git("diff", "--cached", "--name-only") == "below/ours.py"
    assert git("worktree", "list").count("\n") == 0
