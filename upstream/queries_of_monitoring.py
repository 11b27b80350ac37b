"""What the hub asks PostgreSQL about its own work: indexes, plans, counts."""

from upstream.queries import Query

STATISTICS_SINCE = Query(
    "statistics.since",
    "SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()",
)
INDEX_USAGE = Query(
    "indexes.usage",
    """
    SELECT t.relname AS table, c.relname AS index, i.indisunique AS unique, i.indisvalid AS valid,
           coalesce(s.idx_scan, 0) AS scans, coalesce(s.idx_tup_read, 0) AS rows,
           pg_relation_size(c.oid) AS bytes, pg_size_pretty(pg_relation_size(c.oid)) AS size,
           am.amname AS method, pg_get_indexdef(c.oid) AS definition
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_class AS t ON t.oid = i.indrelid
    JOIN pg_am AS am ON am.oid = c.relam
    LEFT JOIN pg_stat_user_indexes AS s ON s.indexrelid = c.oid
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'
    ORDER BY t.relname, c.relname
    """,
)
INDEX_DUPLICATES = Query(
    "indexes.duplicates",
    """
    SELECT n.relname AS narrow, w.relname AS wide
    FROM pg_index AS a
    JOIN pg_index AS b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
    JOIN pg_class AS n ON n.oid = a.indexrelid
    JOIN pg_class AS w ON w.oid = b.indexrelid
    WHERE n.relnamespace = 'public'::regnamespace AND n.relam = w.relam AND NOT a.indisunique
      AND (b.indkey::text || ' ') LIKE (a.indkey::text || ' %')
      AND a.indnkeyatts = a.indnatts
      AND coalesce(pg_get_expr(a.indpred, a.indrelid), '')
          = coalesce(pg_get_expr(b.indpred, b.indrelid), '')
      AND coalesce(pg_get_expr(a.indexprs, a.indrelid), '')
          = coalesce(pg_get_expr(b.indexprs, b.indrelid), '')
      AND (a.indnatts < b.indnatts OR a.indexrelid > b.indexrelid)
      AND (b.indoption::text || ' ') LIKE (a.indoption::text || ' %')
      AND (b.indclass::text || ' ') LIKE (a.indclass::text || ' %')
    ORDER BY 1, 2
    """,
)
INDEX_MISSING = Query(
    "indexes.missing",
    """
    SELECT relname AS table, seq_scan AS scans, n_live_tup AS rows,
           100.0 * seq_scan / greatest(1, seq_scan + coalesce(idx_scan, 0)) AS share
    FROM pg_stat_user_tables
    WHERE n_live_tup > $1 AND seq_scan > 10 AND seq_tup_read > 10 * n_live_tup
    ORDER BY seq_tup_read DESC
    """,
)
INVALID_INDEXES = Query(
    "indexes.invalid",
    """
    SELECT c.relname AS index FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT i.indisvalid AND c.relnamespace = 'public'::regnamespace ORDER BY 1
    """,
)
