-- How far labellers agree on the numbers of the same predictions: one row per part, as in
-- agreement.sql. pair: sums of differences, one minus other. overall: sums of squares between and
-- within predictions, and of the mean absolute difference of two labellers of one prediction.
WITH given AS MATERIALIZED ({given}),
counted AS MATERIALIZED (SELECT *, count(*) OVER (PARTITION BY id, ts) AS m FROM given),
shared AS MATERIALIZED (
    SELECT id, ts, labeller, value, CAST(m AS DOUBLE) AS m FROM counted WHERE m > 1
),
people AS (
    SELECT labeller, count(*) AS n, count(*) FILTER (WHERE m > 1) AS n_shared
    FROM counted GROUP BY labeller
),
ranked AS (
    SELECT *, row_number() OVER (ORDER BY n_shared DESC, n DESC, labeller) AS place,
        count(*) OVER () AS n_labellers
    FROM people
),
chosen AS (
    SELECT id, ts, labeller, value FROM shared
    WHERE labeller IN (SELECT labeller FROM ranked WHERE place <= $compared)
),
paired AS (
    SELECT a.labeller AS one, b.labeller AS other, count(*) AS n,
        CAST(count(*) FILTER (WHERE a.value = b.value) AS DOUBLE) AS n_same,
        sum(a.value - b.value) AS u, sum((a.value - b.value) * (a.value - b.value)) AS uu,
        sum(abs(a.value - b.value)) AS v
    FROM chosen AS a JOIN chosen AS b ON a.id = b.id AND a.ts = b.ts AND a.labeller < b.labeller
    GROUP BY ALL
),
placed AS (
    SELECT *, row_number() OVER (PARTITION BY id, ts ORDER BY value) AS place,
        avg(value) OVER (PARTITION BY id, ts) AS centre
    FROM shared
),
-- the mean absolute difference of all pairs, from the values in order
items AS MATERIALIZED (
    SELECT any_value(m) AS m, any_value(centre) AS centre,
        sum((value - centre) * (value - centre)) AS within,
        CASE WHEN min(value) = max(value) THEN 0.0
            ELSE 2 * sum((2 * place - m - 1) * value) / any_value(m * (m - 1)) END AS d
    FROM placed GROUP BY id, ts
),
whole AS (SELECT sum(m * centre) / sum(m) AS centre FROM items),
answers AS (
    SELECT 'labeller' AS part, labeller AS one, n, n_shared, n_labellers
    FROM ranked WHERE place <= $listed
    UNION ALL BY NAME
    SELECT 'pair' AS part, one, other, n, n_same, u, uu, v FROM paired
    UNION ALL BY NAME
    SELECT 'overall' AS part, count(*) AS n, count(*) FILTER (WHERE d > 0) AS n_disagree,
        (SELECT count(*) FROM (SELECT DISTINCT id, ts FROM given) AS g) AS n_labelled,
        sum(m) AS m, sum(m * m) AS mm, sum(within) AS within,
        sum(m * (centre - (SELECT centre FROM whole)) * (centre - (SELECT centre FROM whole)))
            AS between_items,
        sum(d) AS v, sum(d * d) AS vv
    FROM items
)
SELECT * FROM answers ORDER BY part, n_shared DESC, n DESC, one, other
