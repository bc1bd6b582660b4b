"""Alerts in a project: URLs without secrets in them, and names that are known."""

import pytest

from penstock.core.errors import ProjectInvalid
from penstock.project.loading import load_project


class Kind:
    def reads(self, _spec):
        return []

    def writes(self, _spec):
        return []

    def problems(self, _task, _project):
        return []


def problems(manifest: str, alerts: str) -> list[str]:
    files = {
        "penstock.yml": f"name: shop\n{manifest}".encode(),
        "pipelines/sales.yml": f"alerts: {alerts}\ntasks: {{ a: {{ kind: none }} }}\n".encode(),
    }
    with pytest.raises(ProjectInvalid) as caught:
        load_project(files, kinds={}, connection_kinds={})
    return [f"{each} {each.hint}" for each in caught.value.problems if "task kind" not in str(each)]


def test_a_name_that_nobody_has_comes_with_the_nearest():
    [found] = problems("alerts: { data-team: 'jsons://example.com/hook' }\n", "[data-tem]")
    assert found.startswith("pipelines/sales.yml:1:10: nobody is known as 'data-tem' to be alerted [project_invalid]")
    assert "Did you mean 'data-team'?" in found


def test_a_known_name_is_no_problem():
    assert problems("alerts: { data-team: 'jsons://example.com/hook' }\n", "[data-team]") == []


@pytest.mark.parametrize(
    "url", ["slack://T1/B2/XYZ/#data", "mailtos://penstock:letmein@example.com", "discord://123/abc"]
)
def test_a_secret_in_plain_text_is_one(url):
    [found] = problems(f"alerts: {{ data-team: '{url}' }}\n", "[data-team]")
    assert "[secret_in_project]" in found
    assert "penstock.yml:2:22" in found
    assert "letmein" not in found
    assert "XYZ" not in found


@pytest.mark.parametrize(
    "url",
    ["slack://${secret:SLACK}/#data", "mailtos://penstock:${secret:MAIL_PASSWORD}@example.com", "${secret:ALERTS}"],
)
def test_the_name_of_a_secret_is_not(url):
    assert problems(f"alerts: {{ data-team: '{url}' }}\n", "[data-team]") == []


def test_what_is_no_url_is_said():
    [found] = problems("alerts: { data-team: team@example.com }\n", "[data-team]")
    assert "this is no URL of a service" in found
