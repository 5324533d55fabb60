/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CNI plugin: hands what the runtime says to the agent, and the agent's answer to the runtime.
 *
 * All knowledge is in the agent; here is what must work without one. VERSION is answered at once.
 * With the agent away a DEL succeeds and leaves a note for it, everything else is "try again".
 */
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/twinway/cni.sock"
#define NEWEST_VERSION "1.1.0"
#define SUPPORTED "\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\""

#define LONGEST_INPUT (1 << 20)
#define LONGEST_ANSWER (1 << 20)
#define STDIN_MS 10000
#define AGENT_MS 30000 /* more than the agent lets an ADD wait */

/* Error codes of the CNI specification. */
#define CODE_IO_FAILURE 5
#define CODE_TRY_AGAIN 11
#define CODE_NOT_AVAILABLE 50

extern char **environ;

static char input[LONGEST_INPUT];
static char reply[LONGEST_ANSWER];

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait until `events` are possible on `fd`; false, with errno, when it is too late. */
static bool wait_for(int fd, short events, long long deadline_ms)
{
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = events};
		long long left = deadline_ms - now_ms();
		int count = poll(&ready, 1, left > 0 ? (int)left : 0);

		if (count > 0)
			return true;
		if (count == 0) {
			errno = ETIMEDOUT;
			return false;
		}
		if (errno != EINTR)
			return false;
	}
}

/* Read `fd` to its end; the number of bytes, or -1 with errno. */
static ssize_t read_all(int fd, char *buffer, size_t size, long long deadline_ms)
{
	size_t used = 0;

	for (;;) {
		ssize_t got;

		if (!wait_for(fd, POLLIN, deadline_ms))
			return -1;
		got = read(fd, buffer + used, size - used);
		if (got == 0 && used < size)
			return (ssize_t)used;
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -1;
		used += (size_t)got;
		if (used == size) {
			errno = EMSGSIZE;
			return -1;
		}
	}
}

static bool send_all(int fd, const char *bytes, size_t size, long long deadline_ms)
{
	while (size > 0) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		if (sent >= 0) {
			bytes += sent;
			size -= (size_t)sent;
		} else if (errno == EAGAIN) {
			if (!wait_for(fd, POLLOUT, deadline_ms))
				return false;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* The request on the wire: KEY=VALUE\0 …, \0, stdin, and the end of what we write. */
static bool send_request(int fd, size_t input_size, long long deadline_ms)
{
	for (char **entry = environ; *entry; entry++) {
		if (strncmp(*entry, "CNI_", 4) != 0)
			continue;
		if (!send_all(fd, *entry, strlen(*entry) + 1, deadline_ms))
			return false;
	}
	return send_all(fd, "", 1, deadline_ms) && send_all(fd, input, input_size, deadline_ms) &&
	       shutdown(fd, SHUT_WR) == 0;
}

/* A connection to the agent, or -1 with errno. */
static int agent_connect(const char *path, long long deadline_ms)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		struct timespec pause = {.tv_nsec = 20000000};

		/* EAGAIN: as many wait for the agent as may. There is no event for a place in that queue. */
		if (errno != EAGAIN || now_ms() >= deadline_ms) {
			int reason = errno;

			close(fd);
			errno = reason;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* Ask the agent; false, with errno, where it is away or makes no sense. */
static bool ask_agent(const char *path, size_t input_size, struct answer *answer)
{
	long long deadline_ms = now_ms() + AGENT_MS;
	int fd = agent_connect(path, deadline_ms);
	ssize_t size = -1;
	int reason;

	if (fd < 0)
		return false;
	/* An agent that refuses early may still have answered: read whatever came. */
	(void)send_request(fd, input_size, deadline_ms);
	size = read_all(fd, reply, sizeof(reply), deadline_ms);
	reason = errno;
	close(fd);
	errno = reason;
	if (size < 0)
		return false;
	errno = EPROTO;
	return parse_answer(reply, (size_t)size, answer);
}

/* Leave a note for the agent that this container is gone: `deleted/<id>` beside the socket. */
static void leave_note(const char *socket_path)
{
	const char *id = getenv("CNI_CONTAINERID");
	const char *slash = strrchr(socket_path, '/');
	char path[4096];
	int size, note;

	if (!id || !container_id_is_safe(id) || !slash)
		return;
	size = snprintf(path, sizeof(path), "%.*s/deleted", (int)(slash - socket_path),
			socket_path);
	if (size < 0 || (size_t)size + strlen(id) + 2 > sizeof(path))
		return;
	/* Without an agent's directory there is no agent that knows the container. */
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return;
	path[size] = '/';
	memcpy(path + size + 1, id, strlen(id) + 1);
	note = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (note >= 0)
		close(note);
}

/* Print an error result; the exit status. */
static int fail(const char *version, int code, const char *message)
{
	char escaped[1024];

	json_escape(message, escaped, sizeof(escaped));
	printf("{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"%s\"}\n", version, code, escaped);
	return 1;
}

static int without_agent(const char *verb, const char *version, const char *socket_path, int reason)
{
	char message[512];

	if (strcmp(verb, "DEL") == 0) {
		leave_note(socket_path);
		return 0;
	}
	snprintf(message, sizeof(message), "twinway agent at %s: %s: is it running on this node?",
		 socket_path, reason == EPROTO ? "ended before it answered" : strerror(reason));
	return fail(version, strcmp(verb, "STATUS") == 0 ? CODE_NOT_AVAILABLE : CODE_TRY_AGAIN,
		    message);
}

int main(void)
{
	const char *verb = getenv("CNI_COMMAND");
	const char *socket_path = getenv("TWINWAY_SOCKET");
	char version[VERSION_SIZE];
	struct answer answer;
	ssize_t size;

	if (!verb) {
		fputs("twinway: a CNI plugin for runtimes; versions " SUPPORTED "\n", stderr);
		return 0;
	}
	if (!socket_path || !*socket_path)
		socket_path = DEFAULT_SOCKET;
	size = read_all(STDIN_FILENO, input, sizeof(input), now_ms() + STDIN_MS);
	if (size < 0) {
		int reason = errno;

		/* A pod must be able to go: its environment says enough. */
		if (strcmp(verb, "DEL") != 0)
			return fail(NEWEST_VERSION, CODE_IO_FAILURE, strerror(reason));
		size = 0;
	}
	if (!parse_version(input, (size_t)size, version))
		strcpy(version, NEWEST_VERSION);
	if (strcmp(verb, "VERSION") == 0) {
		printf("{\"cniVersion\":\"%s\",\"supportedVersions\":[%s]}\n", version, SUPPORTED);
		return 0;
	}
	if (!ask_agent(socket_path, (size_t)size, &answer))
		return without_agent(verb, version, socket_path, errno);
	fwrite(answer.body, 1, answer.body_size, stdout);
	return answer.status;
}
