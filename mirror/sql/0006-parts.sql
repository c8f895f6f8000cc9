-- SPDX-License-Identifier: MIT
-- Values of more than 16 KiB travel in parts.

-- What has come of a device's value that is not whole yet: of one change and of one report at most.
CREATE TABLE partial (
	device_id	text NOT NULL REFERENCES device,
	kind		smallint NOT NULL CHECK (kind IN (0, 1)), -- a change, a report
	device_epoch	bytea NOT NULL,
	mirror_epoch	bytea NOT NULL,
	seq		bigint NOT NULL,
	tag		text NOT NULL,	-- what else tells it from others
	have		integer NOT NULL,
	PRIMARY KEY (device_id, kind)
);
CREATE TABLE partial_part (
	device_id	text NOT NULL,
	kind		smallint NOT NULL,
	start		integer NOT NULL,
	bytes		bytea NOT NULL,
	PRIMARY KEY (device_id, kind, start),
	FOREIGN KEY (device_id, kind) REFERENCES partial ON DELETE CASCADE
);
ALTER TABLE partial_part ALTER bytes SET STORAGE EXTERNAL;
ALTER TABLE device_sync ADD COLUMN partials boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN device_sync.partials IS 'there are rows of partial';

-- The CBOR of a mirror's value, from which parts are cut: of the row of property with the same time.
CREATE TABLE large_value (
	device_id	text NOT NULL REFERENCES device,
	name		text NOT NULL,
	made_ms		bigint NOT NULL,
	bytes		bytea NOT NULL,
	PRIMARY KEY (device_id, name)
);
ALTER TABLE large_value ALTER bytes SET STORAGE EXTERNAL;
