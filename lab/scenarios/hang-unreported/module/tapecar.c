// SPDX-License-Identifier: GPL-2.0
/* A carousel of tapes: a file in /proc turns it, another shows what lies before the drive. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define TAPECAR_SLOTS 12

struct tapecar_slot {
	char label[12];
	unsigned int loads;
};

struct tapecar {
	unsigned int at;
	unsigned int turns;
	struct mutex lock;
	struct tapecar_slot slots[TAPECAR_SLOTS];
};

static struct tapecar *tapecar;

static noinline int tapecar_turn(struct tapecar *car, unsigned int slot)
{
	mutex_lock(&car->lock);
	if (slot >= TAPECAR_SLOTS)
		return -EINVAL;
	car->turns += (slot + TAPECAR_SLOTS - car->at) % TAPECAR_SLOTS;
	car->at = slot;
	car->slots[slot].loads++;
	mutex_unlock(&car->lock);
	return 0;
}

static ssize_t tapecar_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	unsigned int slot;
	int error = kstrtouint_from_user(from, size, 0, &slot);

	error = error ?: tapecar_turn(tapecar, slot);
	return error ?: size;
}

static noinline void tapecar_describe(struct tapecar *car, char *text, size_t room)
{
	mutex_lock(&car->lock);
	scnprintf(text, room, "%s %u\n", car->slots[car->at].label, car->slots[car->at].loads);
	mutex_unlock(&car->lock);
}

static ssize_t tapecar_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	char text[32];

	tapecar_describe(tapecar, text, sizeof(text));
	return simple_read_from_buffer(to, size, at, text, strlen(text));
}

static const struct proc_ops tapecar_ops = {
	.proc_read = tapecar_read,
	.proc_write = tapecar_write,
};

static int __init tapecar_init(void)
{
	unsigned int slot;

	tapecar = kzalloc(sizeof(*tapecar), GFP_KERNEL);
	if (!tapecar)
		return -ENOMEM;
	mutex_init(&tapecar->lock);
	for (slot = 0; slot < TAPECAR_SLOTS; slot++)
		snprintf(tapecar->slots[slot].label, sizeof(tapecar->slots[slot].label), "TAPE%03u", slot);
	if (!proc_create("tapecar", 0600, NULL, &tapecar_ops)) {
		kfree(tapecar);
		return -ENOMEM;
	}
	return 0;
}

static void __exit tapecar_exit(void)
{
	remove_proc_entry("tapecar", NULL);
	kfree(tapecar);
}

module_init(tapecar_init);
module_exit(tapecar_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Carousel of tapes");
