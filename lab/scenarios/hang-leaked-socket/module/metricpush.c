// SPDX-License-Identifier: GPL-2.0
/* Pushes figures to a collector by UDP. */
#include <linux/in.h>
#include <linux/net.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "control.h"

#define PUSH_MAX_PRIORITY 6

static struct socket *push_socket;
static unsigned int push_count;

/* The mistake: a priority that is too high is an error that leaves the socket locked. */
static noinline int push_set_priority(struct sock *sk, unsigned int priority)
{
	lock_sock(sk);
	if (priority > PUSH_MAX_PRIORITY)
		return -EPERM;
	sk->sk_priority = priority;
	release_sock(sk);
	return 0;
}

static noinline int push_restart(struct sock *sk)
{
	lock_sock(sk);
	push_count = 0;
	release_sock(sk);
	return 0;
}

static int push_command(char *text)
{
	unsigned int priority;

	if (sscanf(text, "priority %u", &priority) == 1)
		return push_set_priority(push_socket->sk, priority);
	if (!strncmp(text, "restart", 7))
		return push_restart(push_socket->sk);
	return -EINVAL;
}

CONTROL_FILE(push, push_command);

static int __init push_init(void)
{
	int status = sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &push_socket);

	if (status)
		return status;
	status = CONTROL_CREATE(push, "metricpush");
	if (status)
		sock_release(push_socket);
	return status;
}

static void __exit push_exit(void)
{
	CONTROL_REMOVE("metricpush");
	sock_release(push_socket);
}

module_init(push_init);
module_exit(push_exit);
MODULE_DESCRIPTION("Figures for a collector");
MODULE_LICENSE("GPL");
