/* SPDX-License-Identifier: MIT */
/*
 * Command lines against a program's tables, each in a child of its own: what it prints, how it
 * ends.
 */
#include "../../lib/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

static const struct hg_opt opts[] = {
	{ 'v', "verbose", NULL, "say more" },
	{ 'n', "number", "N", "how many" },
	{ 0, "dry-run", NULL, "change nothing" },
	{ 0, NULL, NULL, NULL },
};

static const struct hg_conf_key keys[] = {
	{ "sync", "interval", HG_CONF_DURATION, 0, "5m", 1, 0, NULL, "time between sessions" },
	{ "sync", "host", HG_CONF_STRING, 8, NULL, 1, 0, NULL, "name of the mirror" },
	{ NULL, NULL, 0, 0, NULL, 0, 0, NULL, NULL },
};

static int device_add(void *ctx, int argc, char **argv)
{
	printf("device add: %s with %d, first %s\n", argv[0], argc, argc > 1 ? argv[1] : "none");
	return 42;
}

static int device(void *ctx, int argc, char **argv)
{
	printf("device: %d\n", argc);
	return 43;
}

static const struct hg_subcommand subcommands[] = {
	{ "device", "UID", "show a device", device },
	{ "device add", "UID [FILE]", "add a device", device_add },
	{ "token revoke", "ID", "take a token back", device },
	{ NULL, NULL, NULL, NULL },
};

static const struct hg_program program = {
	"prog", "does a thing", "/etc/prog.conf", opts, subcommands, keys,
};

static int set(void *ctx, const struct hg_opt *opt, const char *value)
{
	printf("%s=%s\n", opt->name, value ? value : "on");
	return !strcmp(opt->name, "number") && strspn(value, "0123456789") != strlen(value)
		       ? -EINVAL
		       : 0;
}

static char output[8192];

/* Runs `line`, split at blanks; '_' stands for a blank. Returns the exit status. */
static int run(const char *line)
{
	char copy[256], *argv[16] = { (char *)"prog" };
	const char *conf = "none";
	int argc = 1, pipe_fd[2], status, first;
	ssize_t n;
	size_t used = 0;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	fflush(stdout);
	if (pipe(pipe_fd))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		dup2(pipe_fd[1], STDERR_FILENO);
		setvbuf(stdout, NULL, _IONBF, 0);
		first = hg_program_options(&program, argc, argv, set, NULL, &conf);
		if (first < 0)
			_exit(HG_EXIT_USAGE);
		printf("conf=%s\n", conf);
		_exit(hg_program_run(&program, NULL, argc - first, argv + first));
	}
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], output + used, sizeof(output) - 1 - used)) > 0)
		used += (size_t)n;
	output[used] = '\0';
	close(pipe_fd[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
	const char *line;
	int status;
	const char *output;
} lines[] = {
	{ "device", 43, "conf=/etc/prog.conf\ndevice: 1\n" },
	{ "device add x", 42, "conf=/etc/prog.conf\ndevice add: add with 2, first x\n" },
	{ "device x", 43, "conf=/etc/prog.conf\ndevice: 2\n" },
	{ "-c f device", 43, "conf=f\ndevice: 1\n" },
	{ "-cf device", 43, "conf=f\ndevice: 1\n" },
	{ "--config f device", 43, "conf=f\ndevice: 1\n" },
	{ "--config=f=g device", 43, "conf=f=g\ndevice: 1\n" },
	{ "-v -n 3 device", 43,
	  "verbose=on\n"
	  "number=3\nconf=/etc/prog.conf\ndevice: 1\n" },
	{ "-vn3 device", 43,
	  "verbose=on\n"
	  "number=3\nconf=/etc/prog.conf\ndevice: 1\n" },
	{ "--number=3 --dry-run -- device", 43,
	  "number=3\ndry-run=on\nconf=/etc/prog.conf\ndevice: 1\n" },
	{ "device add --number", 42,
	  "conf=/etc/prog.conf\ndevice add: add with 2, first --number\n" },
	{ "device add --help", 0, "Usage: prog device add UID [FILE]\nadd a device\n" },
	{ "--version", 0, "prog " HG_VERSION "\n" },
	{ "--list-options", 0,
	  "-v\n--verbose\n-n\n--number\n--dry-run\n-c\n--config\n-h\n--help\n"
	  "--version\n--list-options\nsync.interval\nsync.host\n" },
	{ "--confg f", 2,
	  "prog: --confg: no such option; did you mean --config?; see prog --help\n" },
	{ "--teapot", 2, "prog: --teapot: no such option; see prog --help\n" },
	{ "-x", 2, "prog: -x: no such option; see prog --help\n" },
	{ "-vx", 2, "verbose=on\nprog: -x: no such option; see prog --help\n" },
	{ "-n", 2, "prog: --number wants an argument: N; see prog --help\n" },
	{ "--number", 2, "prog: --number wants an argument: N; see prog --help\n" },
	{ "--verbose=yes", 2, "prog: --verbose takes no argument; see prog --help\n" },
	{ "-n many", 2,
	  "number=many\nprog: --number: \"many\" is not a valid N; see prog --help\n" },
	{ "devise", 2,
	  "prog: devise: no such command; did you mean \"device\"?; "
	  "see prog --help\n" },
	{ "token", 2,
	  "prog: token: no such command; there are: token revoke; "
	  "see prog --help\n" },
	{ "token rvoke 7", 2,
	  "prog: token rvoke: no such command; did you mean "
	  "\"token revoke\"?; see prog --help\n" },
	{ "- x", 2, "prog: -: no such command; see prog --help\n" },
};

static void test_help(void)
{
	is_int(run("--help"), 0, "--help ends well");
	ok(strstr(output, "prog - does a thing\nUsage: prog [OPTION]... COMMAND\n") == output,
	   "it says what");
	ok(strstr(output, "  -n, --number N ") && strstr(output, "how many\n"), "an option");
	ok(strstr(output, "  -c, --config FILE ") && strstr(output, "(default /etc/prog.conf)"),
	   "the file");
	ok(strstr(output, "      --dry-run "), "an option without letter");
	ok(strstr(output, "  device add UID [FILE]  "), "a command");
	ok(strstr(output, "[sync] interval ") &&
		   strstr(output, "time between sessions (default 5m)\n"),
	   "a key");
	ok(strstr(output, "name of the mirror (required)\n"), "a required key");
	is_int(run(""), 2, "no command is a wrong command line");
	ok(strstr(output, "prog: wants a command; see prog --help\n") &&
		   strstr(output, "Commands:\n"),
	   "and shows what there is");
	is_int(run("-h"), 0, "-h too");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		is_int(run(lines[i].line), lines[i].status, lines[i].line);
		is_str(output, lines[i].output, "what it prints");
	}
	test_help();
	return tap_done();
}
