-- SPDX-License-Identifier: MIT
-- When a certificate was signed over a session; NULL: at enrolment.
ALTER TABLE device_certificate ADD renewed_at timestamptz;
