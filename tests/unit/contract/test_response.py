"""contract/response.py: names of answers."""

from ml_secrets.contract.response import Same


def test_an_object_as_a_name_is_equal_to_itself_alone():
    """An equal one is another; and while a name is kept, so is its object, so no other takes its place."""
    one, other = [1], [1]
    assert one == other
    assert Same(one) == Same(one)
    assert hash(Same(one)) == hash(Same(one))
    assert Same(one) != Same(other)
    assert Same(one) != one
    known = {(Same(one), 1): "kept"}
    del one
    assert all((Same([1]), 1) not in known for _ in range(100))
