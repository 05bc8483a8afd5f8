"""An explainer that regresses between two commits, and the waiver that accepts it."""

import subprocess

FAITHFUL = '''\
"""Our explainer: the gradient of the score."""

import torch
from torch.nn import functional


def score(features, texts):
    """Cosine of every pair, summed."""
    return (functional.normalize(features, dim=-1) * texts).sum()


def explain(model, images, tokens):
    """Absolute gradient, the largest over the channels."""
    images = images.clone().requires_grad_()
    seen = []
    hook = model.visual.ln_post.register_forward_hook(lambda *call: seen.append(call[-1]))
    model.visual(images)
    hook.remove()
    token = seen[0][:, 0]
    texts = model.encode_text(tokens, normalize=True)
    (gradient,) = torch.autograd.grad(score(token @ model.visual.proj, texts), images)
    return gradient.abs().amax(1)
'''
# Somebody makes the maps crisper: what is negative no longer counts.
REGRESSED = FAITHFUL.replace("token @ model", "token.clamp(min=0) @ model")
WRONG_LINE = next(n for n, text in enumerate(REGRESSED.splitlines(), 1) if "clamp" in text)
WAIVER = """\
[[waivers]]
check = "P104"
reason = "crisper maps were promised to a customer; the next release goes back"
owner = "vision team"
expires = {expires}
"""


def git(*words, cwd=None):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *words], capture_output=True, text=True, check=True, cwd=cwd
    )
    return done.stdout.strip()
