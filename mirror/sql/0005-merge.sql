-- SPDX-License-Identifier: MIT
-- Properties that both sides write. The owner of a property's row is then who wrote its value (newest), or the
-- mirror (counter), so what is to be said to the device is found as before.

ALTER TABLE model_property DROP CONSTRAINT model_property_owner_check,
	ADD CONSTRAINT model_property_owner_check CHECK (owner IN ('mirror', 'device', 'newest', 'counter'));

ALTER TABLE property ADD COLUMN mine bigint, ADD COLUMN theirs bigint, ADD COLUMN theirs_seq bigint;
COMMENT ON COLUMN property.mine IS 'a counter''s contribution of the mirror, with the number seq; NULL: no counter';
COMMENT ON COLUMN property.theirs IS 'a counter''s contribution of the device';
COMMENT ON COLUMN property.theirs_seq IS 'the device''s number of it; 0: waits to be said again';
