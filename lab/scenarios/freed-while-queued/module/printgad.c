// SPDX-License-Identifier: GPL-2.0
/* Printer function: pages go to the host through one bulk endpoint. */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define PGAD_PACKET	112
#define PGAD_CONNECT	0x6704
#define PGAD_DISCONNECT	0x6705

struct pgad_ep;

struct pgad_request {
	struct list_head list;
	u32 length;
	u32 serial;
	u8 packet[PGAD_PACKET];
	struct work_struct work;
	struct pgad_ep *ep;
	u8 status[144];
};

struct pgad_ep {
	spinlock_t lock;
	struct list_head queue;
	struct workqueue_struct *wq;
	bool connected;
	u32 serial;
	u64 bytes;
};

static struct kmem_cache *pgad_cache;
static struct pgad_ep pgad_ep;

static void pgad_done(struct pgad_request *req)
{
	struct pgad_ep *ep = req->ep;

	spin_lock_irq(&ep->lock);
	list_del(&req->list);
	ep->bytes += req->length;
	spin_unlock_irq(&ep->lock);
	kmem_cache_free(pgad_cache, req);
}

static void pgad_transmit(struct work_struct *work)
{
	struct pgad_request *req = container_of(work, struct pgad_request, work);
	struct pgad_ep *ep = req->ep;

	spin_lock_irq(&ep->lock);
	list_del_init(&req->list);
	spin_unlock_irq(&ep->lock);
	msleep(1200);
	pgad_done(req);
}

static struct pgad_request *pgad_alloc(struct pgad_ep *ep, const char __user *buf, size_t count)
{
	struct pgad_request *req = kmem_cache_zalloc(pgad_cache, GFP_KERNEL);

	if (!req)
		return NULL;
	if (copy_from_user(req->packet, buf, count)) {
		kmem_cache_free(pgad_cache, req);
		return NULL;
	}
	req->length = count;
	req->ep = ep;
	INIT_WORK(&req->work, pgad_transmit);
	return req;
}

static ssize_t pgad_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct pgad_ep *ep = &pgad_ep;
	struct pgad_request *req;

	if (!ep->connected)
		return -ESHUTDOWN;
	count = min_t(size_t, count, PGAD_PACKET);
	req = pgad_alloc(ep, buf, count);
	if (!req)
		return -ENOMEM;
	spin_lock_irq(&ep->lock);
	req->serial = ++ep->serial;
	list_add_tail(&req->list, &ep->queue);
	spin_unlock_irq(&ep->lock);
	queue_work(ep->wq, &req->work);
	return count;
}

static noinline void pgad_drop_requests(struct pgad_ep *ep)
{
	struct pgad_request *req, *next;
	LIST_HEAD(gone);

	spin_lock_irq(&ep->lock);
	list_splice_init(&ep->queue, &gone);
	spin_unlock_irq(&ep->lock);
	list_for_each_entry_safe(req, next, &gone, list) {
		list_del(&req->list);
		kmem_cache_free(pgad_cache, req);
	}
}

static noinline void pgad_disable(struct pgad_ep *ep)
{
	ep->connected = false;
	pgad_drop_requests(ep);
	pr_info("printgad: cable removed after %u pages\n", ep->serial);
}

static long pgad_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case PGAD_CONNECT:
		pgad_ep.connected = true;
		return 0;
	case PGAD_DISCONNECT:
		pgad_disable(&pgad_ep);
		return 0;
	}
	return -ENOTTY;
}

static const struct file_operations pgad_fops = {
	.owner = THIS_MODULE,
	.write = pgad_write,
	.unlocked_ioctl = pgad_ioctl,
};

static struct miscdevice pgad_misc = {
	.minor = MISC_DYNAMIC_MINOR, .name = "g_printer0", .fops = &pgad_fops,
};

static int __init pgad_init(void)
{
	spin_lock_init(&pgad_ep.lock);
	INIT_LIST_HEAD(&pgad_ep.queue);
	pgad_ep.connected = true;
	pgad_cache = kmem_cache_create_usercopy("pgad_request", sizeof(struct pgad_request), 0, 0,
						offsetof(struct pgad_request, packet),
						PGAD_PACKET, NULL);
	pgad_ep.wq = alloc_ordered_workqueue("printgad", 0);
	if (!pgad_cache || !pgad_ep.wq)
		return -ENOMEM;
	return misc_register(&pgad_misc);
}

static void __exit pgad_exit(void)
{
	misc_deregister(&pgad_misc);
	destroy_workqueue(pgad_ep.wq);
	kmem_cache_destroy(pgad_cache);
}

module_init(pgad_init);
module_exit(pgad_exit);
MODULE_DESCRIPTION("Printer gadget function");
MODULE_LICENSE("GPL");
