"""What can be one SELECT, and why a text is none."""

import pytest

from penstock.core.select_texts import select_problem


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- daily; totals\nselect ';' AS a, \"b;c\" FROM orders; -- the end;\n",
        "/* one; two */ WITH a AS (SELECT 1) FROM a;",
        "FROM orders SELECT $$a;b$$, $x$;$$;$x$",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "${params.query}",
        "SELECT '${date}' AS day, 'it''s; fine'",
    ],
)
def test_one_query_is_fine_whatever_its_texts_and_comments_hold(text):
    assert select_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no query in it"),
        ("-- later\n;", "there is no query in it"),
        ("SELECT 1; SELECT 2", "there are 2 statements in it, and a query is one"),
        ("SELECT ';'; DROP TABLE x;", "there are 2 statements in it, and a query is one"),
        ("delete FROM orders", "it begins with delete, and a query is a SELECT"),
        ("COPY orders TO 'x'", "it begins with COPY, and a query is a SELECT"),
    ],
)
def test_what_is_no_query_is_said(text, problem):
    assert select_problem(text) == problem
