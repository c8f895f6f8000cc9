#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: statements that are slow on purpose
"""lib/pg against a real PostgreSQL: pipelining, errors, limits, lost connections, plans that go stale."""
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, Postgres
import subprocess

pg = Postgres(settings=["synchronous_commit=off"])
pg.sql('CREATE SCHEMA IF NOT EXISTS "Quiet-1"; CREATE TABLE "Quiet-1".late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); '
       'INSERT INTO "Quiet-1".late VALUES (1)')
sys.exit(subprocess.run([BUILD + "/tests/mirror/pg_check", pg.conninfo]).returncode)
