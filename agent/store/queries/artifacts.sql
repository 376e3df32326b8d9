-- name: specs_with_artifacts
-- Orders that are not over and mention a file by its content, the oldest first.
SELECT spec, digest FROM execution
WHERE state < 10 AND instr(spec, CAST('sha256:' AS BLOB)) > 0
ORDER BY number;
