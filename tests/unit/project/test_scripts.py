"""Scripts of a project."""

from penstock.project.scripts import project_script


def test_the_limits_of_a_script_are_said_in_the_file_beside_it():
    script, problems = project_script("orders", {"scripts/orders.py": b"def process(data): return data\n"})
    assert script is not None
    assert (script.version.limits_from, list(problems)) == ("scripts/orders.yml", [])
