// SPDX-License-Identifier: GPL-2.0
/* Keeps trust anchors in the kernel, read from a bundle when told to. */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "compat.h"

static char *certstore_path = "/etc/ssl/anchors.pem";
module_param_named(bundle, certstore_path, charp, 0444);

static struct kobject *certstore_kobject;
static char certstore_text[512];
static ssize_t certstore_size;

/* The mistake: the file may not be there. */
static noinline int certstore_reload(const char *path)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	loff_t position = 0;

	certstore_size = kernel_read(file, certstore_text, sizeof(certstore_text), &position);
	filp_close(file, NULL);
	return certstore_size < 0 ? certstore_size : 0;
}

static ssize_t certstore_reload_store(struct kobject *kobject, struct kobj_attribute *attribute,
				      const char *text, size_t count)
{
	int status = certstore_reload(certstore_path);

	return status ?: count;
}

static ssize_t certstore_reload_show(struct kobject *kobject, struct kobj_attribute *attribute,
				     char *text)
{
	return sysfs_emit(text, "%zd\n", certstore_size);
}

static struct kobj_attribute certstore_attribute =
	__ATTR(reload, 0600, certstore_reload_show, certstore_reload_store);

static int __init certstore_init(void)
{
	certstore_kobject = kobject_create_and_add("certstore", kernel_kobj);
	if (!certstore_kobject)
		return -ENOMEM;
	return sysfs_create_file(certstore_kobject, &certstore_attribute.attr);
}

static void __exit certstore_exit(void)
{
	kobject_put(certstore_kobject);
}

module_init(certstore_init);
module_exit(certstore_exit);
MODULE_DESCRIPTION("Trust anchors");
MODULE_LICENSE("GPL");
