-- SPDX-License-Identifier: MIT
-- The facts of the collector. Programs touch these tables through the functions of the next files only.
-- A device is known by the UID of its certificate; what it signs with is a key, and the replay window belongs to
-- the key, because a device that was provisioned anew counts from 1 again.

CREATE TABLE device_key (
	key_id		bytea PRIMARY KEY CHECK (length(key_id) = 8),
	uid		text NOT NULL,
	certificate	bytea NOT NULL,		-- DER
	enrolled_at	timestamptz NOT NULL DEFAULT now(),
	counter_top	bigint NOT NULL DEFAULT 0,	-- greatest counter accepted
	counter_seen	bigint NOT NULL DEFAULT 0,	-- bit i: counter_top - i was accepted
	last_alarm_at	timestamptz
);
CREATE INDEX device_key_uid ON device_key (uid);

CREATE TABLE alarm (
	alarm_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key_id		bytea NOT NULL REFERENCES device_key,
	uid		text NOT NULL,
	counter		bigint NOT NULL,
	episode		bigint NOT NULL,
	received_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	device_time	timestamptz,			-- by the device's clock: never trusted
	class		smallint NOT NULL,		-- enum hg_alarm_class
	feature		smallint NOT NULL,
	channel		integer NOT NULL,
	value		numeric(20) NOT NULL,
	bound		numeric(20) NOT NULL,
	model		text NOT NULL,
	firmware	text NOT NULL,
	self		inet,				-- own address as the device sees it
	source		inet NOT NULL,			-- of the datagram
	line		cidr NOT NULL,			-- the subscriber's line it came from
	correlated	boolean NOT NULL DEFAULT false,
	UNIQUE (key_id, counter)
);
CREATE INDEX alarm_uncorrelated ON alarm (alarm_id) WHERE NOT correlated;
CREATE INDEX alarm_received ON alarm (received_at);

CREATE TABLE alarm_target (
	alarm_id	bigint NOT NULL REFERENCES alarm ON DELETE CASCADE,
	prefix		cidr NOT NULL,
	proto		smallint NOT NULL,
	port		integer NOT NULL,		-- 0: any
	packets		bigint NOT NULL,
	received_at	timestamptz NOT NULL
);
CREATE INDEX alarm_target_alarm ON alarm_target (alarm_id);
CREATE INDEX alarm_target_prefix ON alarm_target USING gist (prefix inet_ops);

-- What a device says of itself, from its first alarm to `ended`.
CREATE TABLE episode (
	key_id		bytea NOT NULL REFERENCES device_key,
	episode		bigint NOT NULL,
	uid		text NOT NULL,
	started_at	timestamptz NOT NULL,
	last_alarm_at	timestamptz NOT NULL,
	ended_at	timestamptz,
	PRIMARY KEY (key_id, episode)
);
CREATE INDEX episode_open ON episode (uid) WHERE ended_at IS NULL;

CREATE TABLE incident (
	incident_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	target		cidr NOT NULL,		-- all addresses of a family for a scan of everything
	port		integer NOT NULL,	-- 0: any
	classes		smallint[] NOT NULL,
	statistic	double precision NOT NULL, -- log of the Shiryaev-Roberts statistic when raised
	opened_at	timestamptz NOT NULL DEFAULT now(),
	last_seen_at	timestamptz NOT NULL DEFAULT now(),
	closed_at	timestamptz
);
CREATE INDEX incident_open ON incident (incident_id) WHERE closed_at IS NULL;

CREATE TABLE incident_member (
	incident_id	bigint NOT NULL REFERENCES incident ON DELETE CASCADE,
	uid		text NOT NULL,
	line		cidr NOT NULL,
	first_seen_at	timestamptz NOT NULL DEFAULT now(),
	last_seen_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (incident_id, uid, line)
);
CREATE INDEX incident_member_uid ON incident_member (uid);

CREATE SEQUENCE decision_change;

-- blocked and observed last; the others are final. `observed` is what would have been blocked.
CREATE TABLE decision (
	decision_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	incident_id	bigint NOT NULL REFERENCES incident ON DELETE CASCADE,
	uid		text NOT NULL,
	line		cidr NOT NULL,
	target		cidr NOT NULL,
	proto		smallint NOT NULL,	-- 0 with port 0: all traffic to the target
	port		integer NOT NULL,
	state		text NOT NULL CHECK (state IN
				('blocked', 'observed', 'restored', 'expired', 'lifted', 'refused')),
	reason		text NOT NULL,		-- of the state, for people
	relapse		integer NOT NULL DEFAULT 0, -- how often before; each doubles the time
	made_at		timestamptz NOT NULL DEFAULT now(),
	applied_at	timestamptz,
	ends_at		timestamptz NOT NULL,
	ended_at	timestamptz,
	hits		bigint NOT NULL DEFAULT 0, -- packets that the block has stopped
	last_hit_at	timestamptz,
	change		bigint NOT NULL DEFAULT nextval('decision_change'),
	CHECK ((ended_at IS NULL) = (state IN ('blocked', 'observed')))
);
CREATE UNIQUE INDEX decision_lasting ON decision (uid, line, target, proto, port) WHERE ended_at IS NULL;
CREATE INDEX decision_changed ON decision (change);
CREATE INDEX decision_line ON decision (line);
CREATE INDEX decision_incident ON decision (incident_id);

CREATE TABLE decision_history (
	decision_id	bigint NOT NULL REFERENCES decision ON DELETE CASCADE,
	at		timestamptz NOT NULL DEFAULT clock_timestamp(),
	event		text NOT NULL,
	detail		text NOT NULL
);
CREATE INDEX decision_history_decision ON decision_history (decision_id, at);

-- Datagrams by what became of them.
CREATE TABLE audit (
	day		date NOT NULL DEFAULT current_date,
	reason		text NOT NULL,
	count		bigint NOT NULL,
	PRIMARY KEY (day, reason)
);

-- One row: what the running collector was configured with.
CREATE TABLE setting (
	one		boolean PRIMARY KEY DEFAULT true CHECK (one),
	observe_only	boolean NOT NULL DEFAULT true,
	min_devices	integer NOT NULL DEFAULT 3,
	evidence	interval NOT NULL DEFAULT '1 hour',	-- how long an alarm counts
	block		interval NOT NULL DEFAULT '10 minutes',	-- first decision
	block_max	interval NOT NULL DEFAULT '1 day',
	quiet		interval NOT NULL DEFAULT '1 minute',
	relapse		interval NOT NULL DEFAULT '1 day',	-- how long a decision is remembered
	line_max	integer NOT NULL DEFAULT 16,		-- lasting decisions per line, and per device
	protected	cidr[] NOT NULL DEFAULT '{}'
);
INSERT INTO setting DEFAULT VALUES;
