"""No metric lies idle: the product reaches every file of `audit.metrics`."""

import grimp


def test_every_file_of_metrics_is_reached_by_the_product():
    graph = grimp.build_graph("audit", "principles", cache_dir=None)
    reached = {"audit.cli.main"} | graph.find_upstream_modules("audit.cli.main")
    metrics = graph.find_descendants("audit.metrics")
    assert "audit.metrics.localization" in reached
    assert metrics - {"audit.metrics.neighbor_means"} <= reached  # that one is an empty package
