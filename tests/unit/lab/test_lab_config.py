"""A lab's names and addresses follow from three variables; wrong values are refused with the remedy."""

import pytest

from lab import config
from lab.problem import Problem


def test_the_first_lab_needs_no_variable():
    lab = config.from_environment({})
    assert (lab.name, lab.address("core1"), lab.url) == ("lab", "10.91.0.20", "https://localhost:8443/mcp")
    assert lab.standin_address == "10.92.0.10"


def test_a_second_lab_shares_nothing_with_the_first():
    first, second = config.from_environment({}), config.from_environment({"LAB_NAME": "ci"})
    for what in ("state", "network", "internet", "subnet", "internet_subnet", "standin", "port", "label"):
        assert getattr(first, what) != getattr(second, what), what
    assert first.container("app1") != second.container("app1")


def test_hosts_resolve_each_other_the_front_door_and_composer():
    names = config.from_environment({}).names()
    assert names["core1.lab.test"] == "10.91.0.20"
    assert names["composer.lab.test"] == names["edge1"]
    assert names["composer.euconquisto.test"] == "10.92.0.10"


def test_commands_that_are_shown_name_the_lab_they_are_for():
    assert config.from_environment({}).arguments == ""
    assert config.from_environment({"LAB_NAME": "ci"}).arguments == " LAB_NAME=ci"
    assert config.from_environment({"LAB_PORT": "9443"}).arguments == " LAB_PORT=9443"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LAB_NAME", "../etc"),
        ("LAB_NAME", "Lab"),
        ("LAB_SUBNET", "10.255.0"),
        ("LAB_SUBNET", "192.168.1"),
        ("LAB_PORT", "0"),
        ("LAB_PORT", "65536"),
        ("LAB_PORT", "eight"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(variable, value):
    with pytest.raises(Problem) as caught:
        config.from_environment({variable: value})
    assert variable in caught.value.happened and value in caught.value.happened
    assert caught.value.state == "Nothing was started."
