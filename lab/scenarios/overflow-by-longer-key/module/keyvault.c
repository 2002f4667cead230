// SPDX-License-Identifier: GPL-2.0
/* Key schedules of sessions. */
#include <linux/bitops.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#define KV_SESSIONS 56

struct kv_schedule {
	u32 rounds;
	u32 words[];
};

struct kv_session {
	struct list_head node;
	unsigned int id;
	unsigned int age;
	struct kv_schedule *schedule;
	u8 nonce[32];
	u64 sealed, opened;
	char owner[64];
};

static struct kv_session *kv_sessions[KV_SESSIONS];
static LIST_HEAD(kv_active);
static DEFINE_MUTEX(kv_lock);
static struct delayed_work kv_work;

static unsigned int kv_rounds(unsigned int length)
{
	return length / 4 + 6;
}

static noinline void kv_expand(struct kv_schedule *ks, const u8 *key, unsigned int length)
{
	unsigned int n = length / 4, total = 4 * (kv_rounds(length) + 1), i;
	u32 *w = ks->words;

	ks->rounds = kv_rounds(length);
	for (i = 0; i < n; i++)
		w[i] = key[4 * i] | key[4 * i + 1] << 8 | key[4 * i + 2] << 16 | (u32)key[4 * i + 3] << 24;
	for (; i < total; i++) {
		u32 t = w[i - 1];

		if (i % n == 0)
			t = rol32(t, 8) * 0x9e3779b1u + i;
		w[i] = w[i - n] ^ t ^ 0xa5c3f00fu;
	}
}

static noinline int kv_setkey(struct kv_session *s, const u8 *key, unsigned int length)
{
	if (length != 16 && length != 24 && length != 32)
		return -EINVAL;
	if (!s->schedule) {
		s->schedule = kzalloc(struct_size(s->schedule, words, 4 * (kv_rounds(length) + 1)),
				      GFP_KERNEL);
		if (!s->schedule)
			return -ENOMEM;
	}
	kv_expand(s->schedule, key, length);
	s->age = 0;
	return 0;
}

static void kv_age(struct work_struct *work)
{
	struct kv_session *s;

	mutex_lock(&kv_lock);
	list_for_each_entry(s, &kv_active, node)
		s->age++;
	mutex_unlock(&kv_lock);
	schedule_delayed_work(&kv_work, msecs_to_jiffies(500));
}

static struct kv_session *kv_session(unsigned int id)
{
	struct kv_session *s = kv_sessions[id];

	if (s)
		return s;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return NULL;
	s->id = id;
	snprintf(s->owner, sizeof(s->owner), "tenant-%u", id);
	list_add_tail(&s->node, &kv_active);
	return kv_sessions[id] = s;
}

static ssize_t kv_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	char text[64], key[36];
	unsigned int first, n, i;
	int ret = 0;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = 0;
	if (sscanf(text, "%u %u %35s", &first, &n, key) != 3 || first + n > KV_SESSIONS)
		return -EINVAL;
	mutex_lock(&kv_lock);
	for (i = first; !ret && i < first + n; i++) {
		struct kv_session *s = kv_session(i);

		ret = s ? kv_setkey(s, key, strlen(key)) : -ENOMEM;
	}
	mutex_unlock(&kv_lock);
	return ret ?: count;
}

static const struct file_operations kv_fops = { .owner = THIS_MODULE, .write = kv_write };

static struct miscdevice kv_misc = {
	.minor = MISC_DYNAMIC_MINOR, .name = "keyvault", .fops = &kv_fops,
};

static int __init kv_init(void)
{
	INIT_DELAYED_WORK(&kv_work, kv_age);
	schedule_delayed_work(&kv_work, HZ);
	return misc_register(&kv_misc);
}

static void __exit kv_exit(void)
{
	unsigned int i;

	misc_deregister(&kv_misc);
	cancel_delayed_work_sync(&kv_work);
	for (i = 0; i < KV_SESSIONS; i++) {
		if (kv_sessions[i])
			kfree_sensitive(kv_sessions[i]->schedule);
		kfree(kv_sessions[i]);
	}
}

module_init(kv_init);
module_exit(kv_exit);
MODULE_DESCRIPTION("Session keys");
MODULE_LICENSE("GPL");
