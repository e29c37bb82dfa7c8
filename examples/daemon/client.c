/*
 * A filter without Python: hands its standard descriptors to `mailguard daemon` and ends with the status of its worker.
 *
 *     cc -O2 -static -o /usr/local/bin/mailguard-client client.c
 *     MAILGUARD_DAEMON=/run/mailguard/daemon/socket mailguard-client quarantine < message > guarded
 *
 * Unlike `mailguard` it cannot do the work itself: when nobody answers, the mail has to wait (status 75).
 * The protocol is described in mailguard-daemon(1).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define TEMPORARY_FAILURE 75
#define DEADLINE_SECONDS 310 /* the worker ends after 300 */

extern char **environ;
static int server = -1;
static volatile sig_atomic_t handed_over;

/* Safe in a signal handler. */
static void fail(const char *reason)
{
	struct iovec pieces[] = {{"4.3.0 mailguard: ", 17}, {(char *)reason, strlen(reason)}, {"\n", 1}};

	if (writev(2, pieces, 3) < 0) {
		/* nobody listens; the status says enough */
	}
	_exit(TEMPORARY_FAILURE);
}

/* A signal is the worker's as soon as the work is.  Only calls that are safe in a handler. */
static void pass_on(int number)
{
	char octet = (char)number;
	int saved = errno;

	if (number == SIGALRM || !handed_over || write(server, &octet, 1) != 1)
		fail(number == SIGALRM ? "not done within the deadline" : "stopped by a signal");
	errno = saved;
}

static void handle_signals(void)
{
	static const int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGALRM};
	struct sigaction action = {.sa_handler = pass_on}, before;
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (!sigaction(numbers[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	alarm(DEADLINE_SECONDS);
}

/* No descriptor of ours may get the number of a closed standard descriptor; opened the wrong way round on purpose. */
static void occupy(void)
{
	int number;

	for (number = 0; number < 3; number++)
		if (fcntl(number, F_GETFD) < 0)
			open("/dev/null", number ? O_RDONLY : O_WRONLY);
}

static void connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (!path || strlen(path) >= sizeof address.sun_path)
		fail("MAILGUARD_DAEMON does not name a socket");
	strcpy(address.sun_path, path);
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address))
		fail("the daemon does not answer");
	if (getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &length) || (peer.uid != geteuid() && peer.uid != 0))
		fail("the daemon's socket is another user's");
}

static char *add(char *end, const char *text)
{
	size_t length = strlen(text) + 1;
	memcpy(end, text, length);
	return end + length;
}

/* Strings with a NUL behind each: protocol, no fingerprint, no start, number and arguments, number and environment. */
static char *compose(char **arguments, size_t *length)
{
	size_t size = 64, argc = 0, envc = 0, i;
	char number[24], *request, *end;

	for (; arguments[argc]; argc++)
		size += strlen(arguments[argc]) + 1;
	for (; environ[envc]; envc++)
		size += strlen(environ[envc]) + 1;
	if (!(request = malloc(size)))
		fail("out of memory");
	end = add(add(add(request, "mailguard-1"), ""), "");
	snprintf(number, sizeof number, "%zu", argc);
	end = add(end, number);
	for (i = 0; i < argc; i++)
		end = add(end, arguments[i]);
	snprintf(number, sizeof number, "%zu", envc);
	end = add(end, number);
	for (i = 0; i < envc; i++)
		end = add(end, environ[i]);
	*length = end - request;
	return request;
}

static void ask(char *request, size_t length)
{
	int descriptors[4] = {0, 1, 2, open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof descriptors)];
	} control = {.space = {0}};
	struct iovec piece = {.iov_base = request, .iov_len = length};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	if (descriptors[3] < 0)
		fail("the working directory cannot be opened");
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof descriptors);
	memcpy(CMSG_DATA(header), descriptors, sizeof descriptors);
	sent = sendmsg(server, &message, MSG_NOSIGNAL);
	while (sent > 0 && (size_t)sent < length) {
		request += sent;
		length -= sent;
		sent = write(server, request, length);
	}
	if (sent <= 0)
		fail("the daemon does not take the request");
}

/* Reads one line without its end; an empty one when the daemon closes. */
static void answer(char *line, size_t size)
{
	size_t length = 0;

	while (length + 1 < size) {
		ssize_t count = read(server, line + length, 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0 || line[length] == '\n')
			break;
		length++;
	}
	line[length] = 0;
}

int main(int argc, char **argv)
{
	char line[1024], *request;
	size_t length;
	int status;

	(void)argc;
	occupy();
	handle_signals();
	connect_to(getenv("MAILGUARD_DAEMON"));
	request = compose(argv + 1, &length);
	ask(request, length);
	answer(line, sizeof line);
	if (strcmp(line, "ready"))
		fail(*line ? line : "the daemon ended");
	handed_over = 1; /* from here on a lost answer means 75, whatever was written */
	if (write(server, "go\n", 3) != 3)
		fail("the daemon ended");
	answer(line, sizeof line);
	if (sscanf(line, "done %d ", &status) != 1 || status < 0 || status > 255)
		fail("the daemon's worker died");
	return status;
}
