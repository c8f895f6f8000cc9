-- SPDX-License-Identifier: MIT
-- Enrolment took longer with every device that there was. session_user is of type name, whose collation "C"
-- audit_add() took over for all its parameters; with that no index on device_id can be used, and each
-- `device add`, revocation and release read the whole of device_sync.

CREATE OR REPLACE FUNCTION audit_add(p_device text, p_who text, p_what text, p_name text, p_data jsonb) RETURNS void
LANGUAGE sql AS $$
	WITH n AS (UPDATE device_sync SET audit_seq = audit_seq + 1 WHERE device_id = p_device COLLATE "default"
		   RETURNING audit_seq)
	INSERT INTO audit (device_id, seq, who, what, name, data)
	SELECT p_device, n.audit_seq, p_who, p_what, p_name, p_data FROM n
$$;
