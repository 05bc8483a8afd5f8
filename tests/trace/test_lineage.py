from audit.trace.lineage import EMPTY, Anchor, Lineage, union

INNER = Anchor("image", 1, "attention", "all", 0)
FEATURE = Anchor("image", 3, "feature", "pooled", 0)


def test_union_joins_every_field_and_keeps_a_single_part():
    a = Lineage(anchors=frozenset({INNER}), events=frozenset({1}))
    b = Lineage(params=frozenset({"visual.proj"}), events=frozenset({2}))
    both = union([a, b])
    assert both.anchors == {INNER}
    assert both.params == {"visual.proj"}
    assert both.events == {1, 2}
    assert union([a, EMPTY]) is a
    assert union([]) is EMPTY


def test_deviation_is_inherited_by_the_states_that_follow():
    upstream = Lineage(anchors=frozenset({INNER}), alterations=frozenset({4}))
    below = upstream.inherited(frozenset({FEATURE}))
    assert below.anchors == {FEATURE}
    assert below.deviates
    assert not Lineage(anchors=frozenset({FEATURE})).deviates


def test_only_features_are_terminal():
    assert FEATURE.terminal
    assert not INNER.terminal
