-- name: template_newest
SELECT name, version, document, saved_ms, saved_by FROM template
WHERE name = $1 ORDER BY version DESC LIMIT 1;

-- name: template_version
SELECT name, version, document, saved_ms, saved_by FROM template
WHERE name = $1 AND version = $2;

-- name: templates_newest
SELECT t.name, t.version, t.document, t.saved_ms, t.saved_by FROM template t
WHERE t.version = (SELECT max(o.version) FROM template o WHERE o.name = t.name)
ORDER BY t.name;

-- name: template_insert
INSERT INTO template (name, version, document, saved_ms, saved_by)
VALUES ($1, $2, $3, $4, $5);

-- name: templates_counted
SELECT count(DISTINCT name) FROM template;
