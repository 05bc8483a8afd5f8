"""P102 structure-unchanged.

What it does: Compares forward methods, module classes, submodules, plain attributes such as head
counts, hooks and flags with a snapshot: of every module at the moment it runs, and of all when the
explainer has been imported, has been called for the first time, and has returned. Library functions
that attention goes through are watched too, and so are default dtype, default device and gradient
mode. A copy that runs in training mode, where a norm or dropout gives other values, is another
network as well. Hooks that only observe and are removed are fine, and so are flags that do not
change what the model computes, methods that are wrapped only to read, and gradients left on
parameters: these are told. What is left behind is put back, so that the other checks judge the
model as it was.

Why it matters: A head count of one instead of twelve, a patched forward or a forgotten hook makes
another network of the same weights.

How to fix it: Read what you need with forward hooks that return None, and remove them in a
`finally` block. Do not replace forward methods, modules, head counts or library functions, not even
for the time of the call; recompute what a fused kernel hides from the block's own input instead.
Put flags such as training mode and `requires_grad` back before you return.

What a pass does not show: That the explainer's own code computes what the model computes. See P104
and P105.
"""

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Severity
from principles.check import Check
from principles.unmodified_model.changes import changes_of, finding_of_changes


def judge(trace: TraceEvidence, roles: Roles) -> Finding:
    """Violated where structure was altered during the run, or anything was left behind."""
    every = changes_of(trace, "structure")
    found = [(p, c) for p, c in every if c.altering or c.when != "during"]
    return finding_of_changes(
        "P102",
        found,
        trace,
        roles,
        measured=("structural changes", len({(c.path, c.what) for _, c in found})),
        passed="Structure, hooks and flags were as before",
        violated="The model's structure was altered",
        told=[change for change in every if change not in found],
    )


CHECK = Check(
    id="P102",
    name="structure-unchanged",
    title="Are forward methods, classes, head counts, hooks and flags as before?",
    failure_title="The explainer altered the model's structure",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
