// SPDX-License-Identifier: GPL-2.0
/* A protocol family for a ring of machines. So far only receiving is written. */
#include <linux/net.h>
#include <net/sock.h>
#include "compat.h"

#define RINGNET_FAMILY 19

static struct proto ringnet_proto = {
	.name = "RINGNET",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct sock),
};

static int ringnet_release(struct socket *socket)
{
	struct sock *sock = socket->sk;

	socket->sk = NULL;
	sock_put(sock);
	return 0;
}

static int ringnet_recvmsg(struct socket *socket, struct msghdr *message, size_t size, int flags)
{
	return -EAGAIN;
}

/* The mistake: no sendmsg, where sock_no_sendmsg should be. */
static const struct proto_ops ringnet_ops = {
	.family = RINGNET_FAMILY,
	.owner = THIS_MODULE,
	.release = ringnet_release,
	.bind = sock_no_bind,
	.connect = sock_no_connect,
	.recvmsg = ringnet_recvmsg,
};

static int ringnet_create(struct net *net, struct socket *socket, int protocol, int kern)
{
	struct sock *sock = sk_alloc(net, RINGNET_FAMILY, GFP_KERNEL, &ringnet_proto, kern);

	if (!sock)
		return -ENOMEM;
	socket->ops = &ringnet_ops;
	sock_init_data(socket, sock);
	return 0;
}

static const struct net_proto_family ringnet_family = {
	.family = RINGNET_FAMILY,
	.create = ringnet_create,
	.owner = THIS_MODULE,
};

static int __init ringnet_init(void)
{
	int status = proto_register(&ringnet_proto, 0);

	return status ?: sock_register(&ringnet_family);
}

static void __exit ringnet_exit(void)
{
	sock_unregister(RINGNET_FAMILY);
	proto_unregister(&ringnet_proto);
}

module_init(ringnet_init);
module_exit(ringnet_exit);
MODULE_DESCRIPTION("Ring network");
MODULE_LICENSE("GPL");
