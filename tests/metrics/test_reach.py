"""Which metrics no command reaches: a list that nobody adds to."""

import grimp

UNREACHED = {
    "audit.metrics.adaptive",
    "audit.metrics.infidelity",
    "audit.metrics.overlap",
    "audit.metrics.protocols",
    "audit.metrics.rationale",
}


def test_metrics_that_no_command_reaches():
    graph = grimp.build_graph("audit", "principles", cache_dir=None)
    reached = {"audit.cli.main"} | graph.find_upstream_modules("audit.cli.main")
    metrics = graph.find_descendants("audit.metrics")
    assert "audit.metrics.localization" in reached
    assert metrics - reached - {"audit.metrics.neighbor_means"} == UNREACHED
