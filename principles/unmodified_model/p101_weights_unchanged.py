"""P101 weights-unchanged.

What it does: Compares every parameter and buffer of the model, bit by bit, with an untouched copy:
at each use while the explainer runs, and when it has returned. In-place writes that were put back
are seen by torch's version counters, writes through `.data` by content. A copy of the model that
the explainer runs in its place must have the same content.

Why it matters: An explanation computed with other weights is an explanation of another model. A
model that is left with other weights also changes what everybody downstream computes.

How to fix it: Leave parameters and buffers alone, also for a moment: no in-place operations, no
`.data`, no training mode that updates running statistics. If the method needs scaled or masked
values, change the activations in a hook, or compute with your own tensors. If you load a copy of
the model, load it from the same state dict, in the same dtype.

What a pass does not show: That the explainer uses these weights as the model does. See P104 and
P105.
"""

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Severity
from principles.check import Check
from principles.unmodified_model.changes import changes_of, finding_of_changes


def judge(trace: TraceEvidence, roles: Roles) -> Finding:
    """Violated where any tensor differed, during or after."""
    found = changes_of(trace, "weights")
    tensors = len({change.path for _, change in found})
    return finding_of_changes(
        "P101",
        found,
        trace,
        roles,
        measured=("tensors, and copies, that differed", tensors),
        passed="All parameters and buffers stayed bit-identical",
        violated="Other weights than the model's",
    )


CHECK = Check(
    id="P101",
    name="weights-unchanged",
    title="Are parameters and buffers bit-identical during and after the explanation?",
    failure_title="The explainer changed the model's weights",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
