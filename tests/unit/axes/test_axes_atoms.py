"""Atoms: unify, split, regroup, freeze."""

from nlpcompress.axes.atoms import (
    UNALIGNED,
    Atom,
    Factor,
    freeze,
    leaves,
    new_dim,
    regroup,
    root,
    size_of,
    split,
    unify,
    with_zero,
)


def sizes(dim):
    return [factor.atom.size for factor in leaves(dim)]


def reasons(dim):
    return {factor.atom.frozen for factor in leaves(dim)}


def test_unify_joins_equal_sizes():
    x, y = new_dim(6), new_dim(6)
    assert unify(x, y)
    assert root(x[0].atom) is root(y[0].atom)


def test_unify_splits_the_larger_side_in_order():
    whole, heads, size = new_dim(32), new_dim(4), new_dim(8)
    assert unify(whole, heads + size)
    assert sizes(whole) == [4, 8]
    assert [f.atom for f in leaves(whole)] == [root(heads[0].atom), root(size[0].atom)]


def test_unify_splits_both_sides_where_boundaries_fall_between():
    x = new_dim(2) + new_dim(12)
    y = new_dim(6) + new_dim(4)
    assert unify(x, y)
    assert sizes(x) == sizes(y) == [2, 3, 4]


def test_a_split_is_seen_by_dimensions_unified_before():
    x, y = new_dim(12), new_dim(12)
    unify(x, y)
    split(x[0].atom, 3)
    assert sizes(y) == [3, 4]


def test_unaligned_dimensions_are_frozen_on_both_sides():
    x, y = new_dim(4) + new_dim(3), new_dim(6) + new_dim(2)
    assert not unify(x, y)
    assert reasons(x) == reasons(y) == {UNALIGNED}


def test_a_size_only_the_data_knows_aligns_with_nothing():
    x, y = new_dim(0), new_dim(4)
    assert not unify(x, y)
    assert reasons(y) == {UNALIGNED}


def test_frozen_spreads_over_a_class_and_its_parts_and_the_first_reason_stays():
    x, y = new_dim(8, frozen="first"), new_dim(8)
    unify(x, y)
    freeze(y, "second")
    unify(y, new_dim(2) + new_dim(4))
    assert sizes(y) == [2, 4]
    assert reasons(y) == {"first"}


def test_regroup_splits_a_projection_into_heads():
    projection, tokens = new_dim(32), new_dim(10)
    batch, positions, heads, size = regroup([new_dim(2), tokens, projection], (2, 10, 4, 8))
    assert [sizes(d) for d in (batch, positions, heads, size)] == [[2], [10], [4], [8]]
    assert sizes(projection) == [4, 8]


def test_regroup_merges_and_keeps_the_order():
    merged, last = regroup([new_dim(2), new_dim(3), new_dim(5)], (6, 5))
    assert sizes(merged) == [2, 3]
    assert sizes(last) == [5]


def test_regroup_without_common_boundaries_freezes_only_what_is_left():
    first, second, third = new_dim(2), new_dim(4), new_dim(9)
    out = regroup([first, second, third], (2, 6, 6))
    assert reasons(first) == {None}
    assert reasons(second) == reasons(third) == {UNALIGNED}
    assert [size_of(d) for d in out] == [2, 6, 6]
    assert reasons(out[1]) == reasons(out[2]) == {UNALIGNED}


def test_dimensions_of_size_one_have_no_factors():
    assert new_dim(1) == ()
    assert [sizes(d) for d in regroup([new_dim(5)], (1, 5, 1))] == [[], [5], []]


def test_zero_marks_go_to_the_parts_of_a_split():
    atom = Atom(6)
    dim = (Factor(atom, True),)
    split(atom, 2)
    assert [f.zero for f in leaves(dim)] == [True, True]
    assert [f.zero for f in with_zero(leaves(dim), False)] == [False, False]
