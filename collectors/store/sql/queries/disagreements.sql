-- Predictions whose labellers disagree, in the order in which they are worth settling, with what
-- each of the labellers who spoke last says (at most $voices), and the label that counts
WITH given AS MATERIALIZED ({given}),
disputed AS MATERIALIZED (
    SELECT id, ts, count(*) AS n_labellers, {spread} AS spread
    FROM given GROUP BY id, ts HAVING count(DISTINCT value) > 1
),
answered AS (
    SELECT p.*, d.n_labellers, d.spread
    FROM ({predictions}) AS p JOIN disputed AS d ON d.id = p.id AND d.ts = p.ts
),
first AS MATERIALIZED (
    SELECT *, row_number() OVER (ORDER BY {order}, ts DESC, id) AS place,
        count(*) OVER () AS n_found
    FROM answered ORDER BY place LIMIT $most
),
voices AS (
    SELECT g.id, g.ts, g.labeller, g.value, g.received,
        row_number() OVER (PARTITION BY g.id, g.ts ORDER BY g.received DESC, g.labeller) AS voice
    FROM given AS g JOIN first AS f ON f.id = g.id AND f.ts = g.ts
)
SELECT f.place, f.n_found, f.id, f.ts, f.version, f.score, f.predicted, f.distance,
    f.n_labellers, f.spread, l.value AS label, v.labeller, v.value, v.received
FROM first AS f
JOIN voices AS v ON v.id = f.id AND v.ts = f.ts AND v.voice <= $voices
LEFT JOIN ({counting}) AS l ON l.id = f.id AND l.ts = f.ts
ORDER BY f.place, v.received, v.labeller
