"""Explainers that compute in other threads than the one that calls them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

HONEST, FAULTY = Table(), Table()
BOTH = "P104 P105"
POOL = ThreadPoolExecutor(1)
POOL.submit(int).result()  # its thread runs before any trace begins


def _one_head(model, images, tokens):
    return parts.grad_times_attention(model, images, tokens, heads=1)


@FAULTY.faulty(BOTH)
def one_head_in_a_thread(model, images, tokens):
    found = []
    thread = threading.Thread(target=lambda: found.append(_one_head(model, images, tokens)))
    thread.start()
    thread.join()
    return found[0]


@FAULTY.faulty(BOTH)
def one_head_in_a_pool(model, images, tokens):
    return POOL.submit(_one_head, model, images, tokens).result()


@HONEST.honest
def gradient_times_attention_in_a_pool(model, images, tokens):
    return POOL.submit(parts.grad_times_attention, model, images, tokens).result()


@HONEST.honest
def gradients_of_several_threads(model, images, tokens):
    """Each thread perturbs the picture a little less; the mean of all maps."""

    def explain(step):
        score = lambda x: parts.cosine(model, x * step / 4, tokens)  # noqa: E731
        return parts.gradient_map(model, images, score)

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(explain, range(1, 5))) / 4
