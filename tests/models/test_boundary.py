"""Only `audit.models` knows of which library a model is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KNOWING = ("audit/models", "audit/data/imagenet_classes.py")  # the latter: lists of words
# What open_clip calls the parts of its models, but for words that torch or the anatomy uses too.
OF_OPEN_CLIP = frozenset(
    {
        "open_clip",
        "open_clip_torch",
        "visual",
        "transformer",
        "resblocks",
        "conv1",
        "class_embedding",
        "positional_embedding",
        "token_embedding",
        "patch_dropout",
        "ln_pre",
        "ln_post",
        "ln_final",
        "ln_1",
        "ln_2",
        "ls_1",
        "ls_2",
        "attn",
        "c_fc",
        "c_proj",
        "proj",
        "text_projection",
        "encode_image",
        "encode_text",
        "pool_type",
        "get_weight_dtype",
    }
)
SCORE_PARAMETERS = frozenset({"logit_scale", "logit_bias"})  # named by the contract too


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and words: imports, attributes, and strings that may be dotted names of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.partition(".")[0]
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Constant) and len(str(node.value).split()) == 1:
            yield from ((node.lineno, part) for part in str(node.value).split("."))


def looked_up(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and words of strings that an attribute is looked up by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "hasattr"}:
            word = node.args[1]
            if isinstance(word, ast.Constant):
                yield node.lineno, str(word.value)


def known(source: str) -> list[str]:
    """What a source knows of open_clip, by line."""
    tree = ast.parse(source)
    found = [(line, word) for line, word in named(tree) if word in OF_OPEN_CLIP]
    found += [(line, word) for line, word in looked_up(tree) if word in SCORE_PARAMETERS]
    return [f"{line}: {word}" for line, word in sorted(found)]


def test_the_model_is_known_by_its_contract_alone():
    files = [f for package in ("audit", "principles") for f in (ROOT / package).rglob("*.py")]
    outside = [f for f in files if not f.relative_to(ROOT).as_posix().startswith(KNOWING)]
    assert len(outside) > 100
    found = {
        str(file.relative_to(ROOT)): words
        for file in outside
        if (words := known(file.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import open_clip",
        "from open_clip.transformer import LayerNorm",
        "feature = model.encode_image(x)",
        "path = f'{block}.attn.out_proj'",
        "own = '.resblocks.' in name",
        "scale = getattr(model, 'logit_scale', None)",
    ],
)
def test_what_breaks_the_rule_is_seen(source):
    assert len(known(source)) == 1


def test_the_contract_imports_no_library_of_models():
    source = (ROOT / "audit/models/model_under_audit.py").read_text(encoding="utf-8")
    assert known(source) == []
