"""What the public pages are read from."""

from upstream.queries import Query

ARTICLES_OF_SECTION = Query(
    "articles.of_section",
    """
    SELECT slug, title, summary, author, published_at FROM articles
    WHERE section = $1 ORDER BY published_at DESC, id DESC LIMIT 100
    """,
)
ARTICLE = Query(
    "articles.one",
    """
    SELECT slug, title, summary, author, published_at, body FROM articles
    WHERE section = $1 AND slug = $2
    """,
)
PUBLIC_FIGURES = Query(
    "home.figures",
    """
    SELECT (SELECT count(*) FROM insight_issues WHERE resolved_at IS NOT NULL) AS resolved,
           (SELECT count(*) FROM autopilot_runs WHERE status = 'success') AS runs,
           (SELECT count(*) FROM guardian_tests) AS tests,
           (SELECT count(*) FROM projects WHERE status = 'active') AS projects,
           (SELECT max(changed_at) FROM organizations) AS changed_at
    """,
)
