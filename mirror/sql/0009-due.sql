-- SPDX-License-Identifier: MIT
-- What is past its time ends without its device, see commands_expire(). The state is not in this index: a lease
-- writes it, see 0008-hot.sql.

CREATE INDEX command_due ON command (deliver_by) WHERE ended_at IS NULL;
