-- Bytes that crossed the link today and this month, packed `agent.core.budget.Spent`; null: none
-- yet. In the row that every contact writes anyway, so that counting costs no page of flash.
ALTER TABLE contact ADD COLUMN spent BLOB;
