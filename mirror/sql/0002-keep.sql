-- SPDX-License-Identifier: MIT
-- The audit has an end, too: what applications write and invoke is kept for [keep] audit, see prune().

CREATE INDEX IF NOT EXISTS audit_happened_at_idx ON audit USING brin (happened_at);
