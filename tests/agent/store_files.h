/* SPDX-License-Identifier: MIT */
/* What earlier versions of the store wrote, as SQL text. A new schema step needs one more. */
#ifndef HG_TESTS_STORE_FILES_H
#define HG_TESTS_STORE_FILES_H

#define STORE_HEAD(version)                                                                        \
	"PRAGMA application_id = 1212633940; PRAGMA user_version = " #version ";"

#define STORE_TABLES_1                                                                             \
	"CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), epoch BLOB NOT NULL CHECK"   \
	" (length(epoch) = 16), change_seq INTEGER NOT NULL DEFAULT 0, change_acked INTEGER NOT"   \
	" NULL DEFAULT 0, mirror_epoch BLOB CHECK (length(mirror_epoch) = 16), mirror_cursor"      \
	" INTEGER NOT NULL DEFAULT 0, command_cursor INTEGER NOT NULL DEFAULT 0, session_limit"    \
	" INTEGER NOT NULL DEFAULT 0, alarm_limit INTEGER NOT NULL DEFAULT 0) STRICT;"             \
	"CREATE TABLE property (name TEXT PRIMARY KEY, owner INTEGER NOT NULL CHECK (owner IN"     \
	" (0, 1)), value BLOB, seq INTEGER NOT NULL, time_ms INTEGER NOT NULL) STRICT;"            \
	"CREATE INDEX property_seq ON property (owner, seq);"                                      \
	"CREATE TABLE command (seq INTEGER PRIMARY KEY, action TEXT NOT NULL, input BLOB,"         \
	" execute_within_ms INTEGER NOT NULL, repeatable INTEGER NOT NULL, state INTEGER"          \
	" NOT NULL, told INTEGER NOT NULL, received_ms INTEGER NOT NULL, received_up_ms INTEGER"   \
	" NOT NULL, boot TEXT NOT NULL, exit_status INTEGER NOT NULL DEFAULT 0, output BLOB,"      \
	" detail TEXT) STRICT;"

#define STORE_ROWS_1                                                                               \
	"INSERT INTO state VALUES (1, x'00112233445566778899aabbccddeeff', 9, 7,"                  \
	" x'ffeeddccbbaa99887766554433221100', 40, 3, 1024, 2048);"                                \
	"INSERT INTO property VALUES ('goal', 1, x'14', 40, 5), ('mine', 0, x'15', 8, 6),"         \
	" ('old', 0, x'16', 3, 1), ('removed', 0, NULL, 9, 7);"                                    \
	"INSERT INTO command VALUES (2, 'ends', NULL, 0, 0, 4, 2, 1, 1, 'boot', 3, x'17',"         \
	" 'text'), (3, 'waits', x'18', 500, 1, 2, 2, 1, 1, 'boot', 0, NULL, NULL);"

#define STORE_TABLES_2                                                                             \
	"CREATE TABLE profile (used INTEGER PRIMARY KEY, model TEXT NOT NULL, firmware TEXT NOT"   \
	" NULL, serial INTEGER NOT NULL, UNIQUE (model, firmware)) STRICT;"

#define STORE_ROWS_2 "INSERT INTO profile VALUES (1, 'cam', '1.0', 12);"

#define STORE_TABLES_3                                                                             \
	"ALTER TABLE property ADD COLUMN theirs INTEGER;"                                          \
	"ALTER TABLE property ADD COLUMN theirs_seq INTEGER NOT NULL DEFAULT 0;"                   \
	"ALTER TABLE property ADD COLUMN told BLOB;"                                               \
	"CREATE TABLE conflict (id INTEGER PRIMARY KEY, name TEXT NOT NULL, owner INTEGER NOT"     \
	" NULL, value BLOB, time_ms INTEGER NOT NULL) STRICT;"

#define STORE_FILE_1 STORE_HEAD(1) STORE_TABLES_1 STORE_ROWS_1
#define STORE_FILE_2 STORE_HEAD(2) STORE_TABLES_1 STORE_TABLES_2 STORE_ROWS_1 STORE_ROWS_2
#define STORE_FILE_3                                                                               \
	STORE_HEAD(3) STORE_TABLES_1 STORE_TABLES_2 STORE_ROWS_1 STORE_ROWS_2 STORE_TABLES_3

/* What each version wrote, from version 1 on. */
__attribute__((unused)) static const char *const store_files[] = {
	STORE_FILE_1,
	STORE_FILE_2,
	STORE_FILE_3,
};

#define STORE_FILES ((int)(sizeof(store_files) / sizeof(store_files[0])))

#endif
