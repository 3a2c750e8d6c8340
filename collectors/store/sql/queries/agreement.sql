-- How far labellers agree on the classes of the same predictions: one row per part.
-- labeller: its predictions, and those that others labelled too. pair: of two of those who share
-- most, sums for Cohen's kappa. pooled: the same of all pairs, by prediction. overall: sums for
-- Fleiss' kappa. "marginal": how often the other one of a pair says what one says, from both sides.
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
pairs AS MATERIALIZED (
    SELECT a.id, a.ts, a.labeller AS one, b.labeller AS other, a.value AS said,
        b.value AS said_other
    FROM chosen AS a JOIN chosen AS b ON a.id = b.id AND a.ts = b.ts AND a.labeller < b.labeller
),
cells AS MATERIALIZED (
    SELECT one, other, said, said_other, count(*) AS n FROM pairs GROUP BY ALL
),
by_one AS (SELECT one, other, said AS value, sum(n) AS n FROM cells GROUP BY ALL),
by_other AS (SELECT one, other, said_other AS value, sum(n) AS n FROM cells GROUP BY ALL),
rated AS MATERIALIZED (
    SELECT c.*, c.said = c.said_other AS same,
        CAST(coalesce(o.n, 0) + coalesce(r.n, 0) AS DOUBLE) AS marginal
    FROM cells AS c
    LEFT JOIN by_other AS o ON o.one = c.one AND o.other = c.other AND o.value = c.said
    LEFT JOIN by_one AS r ON r.one = c.one AND r.other = c.other AND r.value = c.said_other
),
paired AS MATERIALIZED (
    SELECT one, other, CAST(sum(n) AS DOUBLE) AS n,
        CAST(coalesce(sum(n) FILTER (WHERE same), 0) AS DOUBLE) AS n_same,
        sum(n * marginal) AS marginals,
        coalesce(sum(n * marginal) FILTER (WHERE same), 0) AS marginals_same,
        sum(n * marginal * marginal) AS marginals_sq
    FROM rated GROUP BY one, other
),
-- of each prediction: its pairs, how many agree, and by how much it moves agreement by chance
moves AS (
    SELECT CAST(count(*) AS DOUBLE) AS m, sum(CAST(r.same AS DOUBLE)) AS u,
        sum(r.marginal / t.n - t.marginals / (2 * t.n * t.n)) AS v
    FROM pairs AS p
    JOIN rated AS r ON r.one = p.one AND r.other = p.other AND r.said = p.said
        AND r.said_other = p.said_other
    JOIN paired AS t ON t.one = p.one AND t.other = p.other
    GROUP BY p.id, p.ts
),
votes AS (SELECT id, ts, value, m, CAST(count(*) AS DOUBLE) AS c FROM shared GROUP BY ALL),
items AS (SELECT CAST(count(*) AS DOUBLE) AS n FROM (SELECT DISTINCT id, ts FROM shared) AS i),
shares AS (
    SELECT value, sum(c / m) / any_value(items.n) AS share FROM votes, items GROUP BY value
),
judged AS (
    SELECT v.id, v.ts, sum(c * (c - 1)) / any_value(m * (m - 1)) AS p, sum(share * c / m) AS e
    FROM votes AS v JOIN shares AS s ON s.value = v.value GROUP BY v.id, v.ts
),
answers AS (
    SELECT 'labeller' AS part, labeller AS one, n, n_shared, n_labellers
    FROM ranked WHERE place <= $listed
    UNION ALL BY NAME
    SELECT 'pair' AS part, one, other, CAST(n AS BIGINT) AS n, n_same, marginals, marginals_same,
        marginals_sq
    FROM paired
    UNION ALL BY NAME
    SELECT 'pooled' AS part, count(*) AS n, sum(m) AS m, sum(m * m) AS mm, sum(u) AS u,
        sum(u * u) AS uu, sum(v) AS v, sum(v * v) AS vv, sum(u * v) AS uv, sum(u * m) AS um,
        sum(v * m) AS vm
    FROM moves HAVING count(*) > 0
    UNION ALL BY NAME
    SELECT 'overall' AS part, count(*) AS n, count(*) FILTER (WHERE p < 1) AS n_disagree,
        (SELECT count(*) FROM (SELECT DISTINCT id, ts FROM given) AS g) AS n_labelled,
        sum(p) AS u, sum(p * p) AS uu, sum(e) AS v, sum(e * e) AS vv, sum(p * e) AS uv
    FROM judged
)
SELECT * FROM answers ORDER BY part, n_shared DESC, n DESC, one, other
