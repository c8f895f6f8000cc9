# SPDX-License-Identifier: MIT
test-srcs-tests/agent/store_test := $(store-srcs)
test-libs-tests/agent/store_test := -lsqlite3
test-srcs-tests/agent/merge_test := $(store-srcs)
test-libs-tests/agent/merge_test := -lsqlite3
test-srcs-tests/agent/schema_test := $(store-srcs)
test-libs-tests/agent/schema_test := -lsqlite3
test-srcs-tests/agent/part_test := $(store-srcs)
test-libs-tests/agent/part_test := -lsqlite3
detect-srcs := userspace/detect.c userspace/targets.c $(profile-srcs)
test-srcs-tests/agent/profile_test := $(profile-srcs)
test-libs-tests/agent/profile_test := $(profile-libs)
test-srcs-tests/agent/detect_test := $(detect-srcs)
test-libs-tests/agent/detect_test := $(profile-libs) $(event-libs)
test-srcs-tests/agent/alarm_test := userspace/alarm.c tests/lib/pki.c
test-libs-tests/agent/alarm_test := $(event-libs) $(ssl-libs)
test-srcs-tests/agent/client_test := userspace/libheliograph.c
test-libs-tests/agent/client_test := -ljansson
test-srcs-tests/agent/dns_test := userspace/dns.c
test-libs-tests/agent/dns_test := -lpcap
test-srcs-tests/agent/names_test := userspace/names.c
test-srcs-tests/agent/answers_test := $(addprefix userspace/,answers.c dns.c names.c guard-conf.c \
	guard-common.c agent-conf.c)
test-libs-tests/agent/answers_test := -ljansson $(conf-libs)
test-srcs-tests/agent/clock_test := userspace/clock.c userspace/state-file.c
test-srcs-tests/agent/seal_test := userspace/seal.c
test-srcs-tests/agent/host_test := $(guard-srcs) userspace/agent-conf.c
test-libs-tests/agent/host_test := $(guard-libs) $(conf-libs)
test-srcs-tests/agent/interval_test := userspace/interval.c
test-srcs-tests/agent/model_test := userspace/model.c userspace/model-times.c
test-libs-tests/agent/model_test := -ljansson -lm
test-srcs-tests/agent/store_faults_test := $(store-srcs) tests/agent/faultvfs.c \
	tests/agent/store_script.c
test-libs-tests/agent/store_faults_test := -lsqlite3
test-srcs-tests/agent/store_size_test := $(store-srcs) tests/agent/faultvfs.c
test-libs-tests/agent/store_size_test := -lsqlite3
