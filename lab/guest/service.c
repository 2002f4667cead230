// SPDX-License-Identifier: GPL-2.0
/*
 * A daemon of the guest, whatever its name: it keeps a log file and a socket open and waits.
 * With "-c FILE" it first carries out FILE, one step a line:
 *
 *   load PATH [PARAMETER]...   load a kernel module
 *   unload MODULE              remove a kernel module
 *   open PATH | close          the file that the next steps work on
 *   read N | write TEXT | ioctl REQUEST ARGUMENT | mmap N
 *   run COMMAND                a shell command, in a child
 *   sleep SECONDS | log TEXT | fork | exit STATUS
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char *name;
static int file = -1;

static void say(const char *text)
{
	FILE *kmsg = fopen("/dev/kmsg", "w");

	if (kmsg) {
		fprintf(kmsg, "<30>%s[%d]: %s\n", name, getpid(), text);
		fclose(kmsg);
	}
}

static void complain(const char *step)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", step, strerror(errno));
	say(text);
}

static void nap(double seconds)
{
	struct timespec time = { (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) };

	nanosleep(&time, NULL);
}

static int load(char *path)
{
	char *parameters = strchr(path, ' ');
	int module;

	if (parameters)
		*parameters++ = 0;
	module = open(path, O_RDONLY | O_CLOEXEC);
	if (module < 0)
		return -1;
	int status = syscall(SYS_finit_module, module, parameters ? parameters : "", 0);

	close(module);
	return status;
}

static int request(const char *text)
{
	unsigned long number, argument = 0;

	if (sscanf(text, "%lx %lx", &number, &argument) < 1)
		return -1;
	ioctl(file, number, argument); /* its failure is the driver's business */
	return 0;
}

static int start(const char *command)
{
	pid_t child = fork();

	if (child == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return child < 0 ? -1 : 0;
}

static int step(char *verb, char *rest)
{
	static char buffer[65536];

	if (!strcmp(verb, "load"))
		return load(rest);
	if (!strcmp(verb, "unload"))
		return syscall(SYS_delete_module, rest, O_NONBLOCK);
	if (!strcmp(verb, "open"))
		return file = open(rest, O_RDWR), file < 0 ? file = open(rest, O_RDONLY) : file;
	if (!strcmp(verb, "close"))
		return close(file);
	if (!strcmp(verb, "read"))
		return read(file, buffer, atoi(rest)) < 0 ? -1 : 0;
	if (!strcmp(verb, "write"))
		return write(file, rest, strlen(rest)) < 0 ? -1 : 0;
	if (!strcmp(verb, "ioctl"))
		return request(rest);
	if (!strcmp(verb, "mmap"))
		return mmap(NULL, atoi(rest), PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0;
	if (!strcmp(verb, "sleep"))
		return nap(atof(rest)), 0;
	if (!strcmp(verb, "log"))
		return say(rest), 0;
	if (!strcmp(verb, "fork"))
		return fork() < 0 ? -1 : 0;
	if (!strcmp(verb, "run"))
		return start(rest);
	if (!strcmp(verb, "exit"))
		exit(atoi(rest));
	errno = EINVAL;
	return -1;
}

static void carry_out(const char *path)
{
	char line[512];
	FILE *steps = fopen(path, "re");

	if (!steps)
		return complain(path);
	while (fgets(line, sizeof(line), steps)) {
		line[strcspn(line, "\n")] = 0;
		char *rest = strchr(line, ' ');

		if (rest)
			*rest++ = 0;
		if (line[0] && line[0] != '#' && step(line, rest ? rest : "") < 0)
			complain(line);
	}
	fclose(steps);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char log[128];

	name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	snprintf(log, sizeof(log), "/var/log/%s.log", name);
	open(log, O_WRONLY | O_CREAT | O_APPEND, 0640);
	snprintf(address.sun_path, sizeof(address.sun_path), "/run/%s.sock", name);
	bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof(address));
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "-c"))
			carry_out(argv[i + 1]);
	for (;;)
		pause();
}
