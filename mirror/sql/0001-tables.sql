-- SPDX-License-Identifier: MIT
-- The facts of the mirror. Programs touch these tables through the functions of the next files only.
--
-- device_id (the UID) is the first column of every key of every per-device table and numbers are drawn per
-- device, so that the schema can be distributed by it. Whoever writes for a device locks its row of
-- device_sync first; that row also gives out all its numbers.

CREATE TABLE model (
	model		text PRIMARY KEY CHECK (model ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$'),
	thing_model	jsonb NOT NULL,	-- as loaded
	interval_ms	integer NOT NULL DEFAULT 0 CHECK (interval_ms >= 0), -- hint for devices; 0: none
	loaded_at	timestamptz NOT NULL DEFAULT now()
);

-- What the hot path needs of a Thing Model, one row per affordance.
CREATE TABLE model_property (
	model	text NOT NULL REFERENCES model,
	name	text NOT NULL,
	owner	text NOT NULL CHECK (owner IN ('mirror', 'device')),
	writable boolean NOT NULL,	-- by applications
	schema	jsonb NOT NULL,
	PRIMARY KEY (model, name)
);

CREATE TABLE model_action (
	model	text NOT NULL REFERENCES model,
	name	text NOT NULL,
	input	jsonb,			-- NULL: takes none
	output	jsonb,
	repeatable boolean NOT NULL,
	deliver_within interval NOT NULL,
	execute_within_ms integer NOT NULL CHECK (execute_within_ms >= 0), -- 0: no limit
	PRIMARY KEY (model, name)
);

CREATE TABLE device (
	device_id	text PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
	model		text NOT NULL REFERENCES model,
	state		text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'quarantined', 'revoked')),
	reason		text,		-- of the state, for people
	created_at	timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE device_certificate (
	device_id	text NOT NULL REFERENCES device,
	serial		text NOT NULL,	-- hexadecimal, upper case
	not_after	timestamptz NOT NULL,
	revoked_at	timestamptz,
	PRIMARY KEY (device_id, serial)
);

-- The row that every sync writes; everything else of an idle sync is only read.
CREATE TABLE device_sync (
	device_id	text PRIMARY KEY REFERENCES device,
	mirror_epoch	bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()), -- new when the mirror lost data
	mirror_seq	bigint NOT NULL DEFAULT 0,	-- last number of a mirror change
	command_seq	bigint NOT NULL DEFAULT 0,	-- of a command
	event_seq	bigint NOT NULL DEFAULT 0,	-- of an outbox row
	audit_seq	bigint NOT NULL DEFAULT 0,
	device_epoch	bytea,				-- NULL: has never synchronised
	session		bigint NOT NULL DEFAULT 0,	-- highest seen in this device epoch
	round		integer NOT NULL DEFAULT -1,	-- highest seen in this session
	session_at	timestamptz,			-- when it was first seen
	device_cursor	bigint NOT NULL DEFAULT 0,	-- device changes held up to here
	mirror_cursor	bigint NOT NULL DEFAULT 0,	-- what the device said last
	command_cursor	bigint NOT NULL DEFAULT 0,	-- what the device said last
	last_seen	timestamptz
) WITH (fillfactor = 70);

-- Device epochs that were replaced by another: if one comes back, two devices live with one identity.
CREATE TABLE device_epoch (
	device_id	text NOT NULL REFERENCES device,
	epoch		bytea NOT NULL,
	ended_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, epoch)
);

CREATE TABLE property (
	device_id	text NOT NULL REFERENCES device,
	name		text NOT NULL,
	owner		text NOT NULL CHECK (owner IN ('mirror', 'device')),
	value		jsonb,		-- NULL: removed by its owner
	seq		bigint NOT NULL, -- the owner side's change number
	version		bigint NOT NULL DEFAULT 1, -- of this row, for ETag
	made_ms		bigint NOT NULL, -- the maker's clock, Unix ms; 0: unknown
	changed_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, name)
) WITH (fillfactor = 80);
CREATE INDEX property_of_mirror ON property (device_id, seq) WHERE owner = 'mirror';

CREATE TABLE token (
	token_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name		text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
	hash		bytea NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the token
	created_at	timestamptz NOT NULL DEFAULT now(),
	expires_at	timestamptz,
	revoked_at	timestamptz
);

-- A row grants one right on one device, on all of a model, or (both NULL) on all.
CREATE TABLE token_grant (
	token_id	bigint NOT NULL REFERENCES token,
	access		text NOT NULL CHECK (access IN ('read', 'write', 'invoke')),
	device_id	text REFERENCES device,
	model		text REFERENCES model,
	CHECK (device_id IS NULL OR model IS NULL)
);
CREATE INDEX ON token_grant (token_id, access);

CREATE TABLE command (
	device_id	text NOT NULL REFERENCES device,
	seq		bigint NOT NULL,
	action		text NOT NULL,	-- '$set': write of a device-owned property
	input		jsonb,
	state		text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'leased', 'received',
				'executing', 'done', 'failed', 'expired', 'cancelled', 'unknown')),
	token_id	bigint NOT NULL REFERENCES token, -- who asked
	repeatable	boolean NOT NULL,
	execute_within_ms integer NOT NULL,
	created_at	timestamptz NOT NULL DEFAULT now(),
	deliver_by	timestamptz NOT NULL,
	leases		integer NOT NULL DEFAULT 0, -- how often it was put into a response
	ended_at	timestamptz,
	exit_status	integer,
	output		jsonb,
	detail		text,
	PRIMARY KEY (device_id, seq)
) WITH (fillfactor = 80);
CREATE INDEX command_open ON command (device_id, seq)
	WHERE state IN ('queued', 'leased', 'received', 'executing');
CREATE INDEX ON command (ended_at) WHERE ended_at IS NOT NULL;

-- The last changes of a device that the model did not allow: a ring of 32 per device.
CREATE TABLE refusal (
	device_id	text NOT NULL REFERENCES device,
	slot		integer NOT NULL,
	seq		bigint NOT NULL,
	name		text NOT NULL,
	reason		text NOT NULL,
	refused_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, slot)
);

-- What happened, for whoever follows devices; tailed, never notified from within a sync.
CREATE TABLE outbox (
	device_id	text NOT NULL,
	seq		bigint NOT NULL,
	xid		xid8 NOT NULL DEFAULT pg_current_xact_id(), -- tail what is older than every open one
	kind		text NOT NULL, -- property, command, device
	name		text NOT NULL,
	data		jsonb,
	happened_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, seq)
);
CREATE INDEX ON outbox (xid);
CREATE INDEX ON outbox USING brin (happened_at);

CREATE TABLE audit (
	device_id	text NOT NULL,
	seq		bigint NOT NULL,
	who		text NOT NULL,	-- token's name, or the operator's login
	what		text NOT NULL,
	name		text NOT NULL,
	data		jsonb,
	happened_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device_id, seq)
);
