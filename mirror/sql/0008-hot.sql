-- SPDX-License-Identifier: MIT
-- What a sync with something to say updates must not move through indexes: an UPDATE that leaves the columns of all
-- indexes, and of their conditions, as they are stays on its page (HOT). A device's change writes seq, a lease writes
-- state. What a device is to hear is found among its properties by the primary key.

DROP INDEX property_of_mirror;
DROP INDEX command_open;
CREATE INDEX command_open ON command (device_id, seq) WHERE ended_at IS NULL;
