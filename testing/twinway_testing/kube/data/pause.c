/* First process of a pod sandbox and of a cluster host: waits and reaps. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal_number)
{
	_exit(0);
}

static void reap(int signal_number)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

int main(void)
{
	struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};

	signal(SIGINT, leave);
	signal(SIGTERM, leave);
	sigaction(SIGCHLD, &on_child, NULL);
	reap(0);
	for (;;)
		pause();
}
