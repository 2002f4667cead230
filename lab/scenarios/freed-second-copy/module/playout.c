// SPDX-License-Identifier: GPL-2.0
/* A broadcaster's playout, set up through configfs: clips, and schedules that link to them. */
#include <linux/configfs.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "compat.h"

#define PLAYOUT_SLOTS 6

struct playout_clip;

struct playout_format {
	const char *name;
	unsigned int rate;
	ssize_t (*describe)(struct playout_clip *clip, char *page);
};

struct playout_clip {
	struct config_item item;
	const struct playout_format *format;
	unsigned int seconds;
	unsigned int users;
	char *title;
	u32 marks[32];
};

struct playout_schedule {
	struct config_item item;
	struct mutex lock;
	struct playout_clip *slots[PLAYOUT_SLOTS];
	struct playout_clip *lead;
	unsigned int links;
};

static ssize_t playout_describe_video(struct playout_clip *clip, char *page)
{
	return sysfs_emit(page, "%s %us %u/s %s\n", clip->format->name, clip->seconds,
			  clip->format->rate, clip->title ?: "-");
}

static const struct playout_format playout_video = {
	.name = "video",
	.rate = 25,
	.describe = playout_describe_video,
};

static struct playout_clip *to_clip(struct config_item *item)
{
	return container_of(item, struct playout_clip, item);
}

static struct playout_schedule *to_schedule(struct config_item *item)
{
	return container_of(item, struct playout_schedule, item);
}

static ssize_t playout_clip_seconds_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%u\n", to_clip(item)->seconds);
}

static ssize_t playout_clip_seconds_store(struct config_item *item, const char *page, size_t count)
{
	int status = kstrtouint(page, 0, &to_clip(item)->seconds);

	return status ?: count;
}

static ssize_t playout_clip_title_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%s\n", to_clip(item)->title ?: "");
}

static ssize_t playout_clip_title_store(struct config_item *item, const char *page, size_t count)
{
	struct playout_clip *clip = to_clip(item);
	char *title = kstrndup(page, count, GFP_KERNEL);

	if (!title)
		return -ENOMEM;
	kfree(clip->title);
	clip->title = title;
	return count;
}

CONFIGFS_ATTR(playout_clip_, seconds);
CONFIGFS_ATTR(playout_clip_, title);

static struct configfs_attribute *playout_clip_attrs[] = {
	&playout_clip_attr_seconds,
	&playout_clip_attr_title,
	NULL
};

static void playout_clip_release(struct config_item *item)
{
	struct playout_clip *clip = to_clip(item);

	kfree(clip->title);
	kfree(clip);
}

static struct configfs_item_operations playout_clip_item_ops = {
	.release = playout_clip_release,
};

static const struct config_item_type playout_clip_type = {
	.ct_item_ops = &playout_clip_item_ops,
	.ct_attrs = playout_clip_attrs,
	.ct_owner = THIS_MODULE,
};

static struct config_item *playout_make_clip(struct config_group *group, const char *name)
{
	struct playout_clip *clip = kzalloc(sizeof(*clip), GFP_KERNEL);

	if (!clip)
		return ERR_PTR(-ENOMEM);
	clip->format = &playout_video;
	config_item_init_type_name(&clip->item, name, &playout_clip_type);
	return &clip->item;
}

static noinline ssize_t playout_describe_lead(struct playout_schedule *schedule, char *page)
{
	struct playout_clip *lead = schedule->lead;

	if (!lead)
		return sysfs_emit(page, "nothing\n");
	return lead->format->describe(lead, page);
}

static ssize_t playout_schedule_onair_show(struct config_item *item, char *page)
{
	struct playout_schedule *schedule = to_schedule(item);
	ssize_t length;

	mutex_lock(&schedule->lock);
	length = playout_describe_lead(schedule, page);
	mutex_unlock(&schedule->lock);
	return length;
}

CONFIGFS_ATTR_RO(playout_schedule_, onair);

static struct configfs_attribute *playout_schedule_attrs[] = {
	&playout_schedule_attr_onair,
	NULL
};

static int playout_schedule_allow_link(struct config_item *item, struct config_item *target)
{
	struct playout_schedule *schedule = to_schedule(item);
	struct playout_clip *clip;
	int i, status = -ENOSPC;

	if (target->ci_type != &playout_clip_type)
		return -EINVAL;
	clip = to_clip(target);
	mutex_lock(&schedule->lock);
	for (i = 0; i < PLAYOUT_SLOTS; i++) {
		if (schedule->slots[i])
			continue;
		schedule->slots[i] = clip;
		schedule->links++;
		clip->users++;
		if (!schedule->lead)
			schedule->lead = clip;
		status = 0;
		break;
	}
	mutex_unlock(&schedule->lock);
	return status;
}

static void playout_schedule_drop_link(struct config_item *item, struct config_item *target)
{
	struct playout_schedule *schedule = to_schedule(item);
	struct playout_clip *clip = to_clip(target);
	int i;

	mutex_lock(&schedule->lock);
	for (i = 0; i < PLAYOUT_SLOTS; i++) {
		if (schedule->slots[i] != clip)
			continue;
		schedule->slots[i] = NULL;
		schedule->links--;
		clip->users--;
		break;
	}
	mutex_unlock(&schedule->lock);
}

static void playout_schedule_release(struct config_item *item)
{
	kfree(to_schedule(item));
}

static struct configfs_item_operations playout_schedule_item_ops = {
	.release = playout_schedule_release,
	.allow_link = playout_schedule_allow_link,
	.drop_link = playout_schedule_drop_link,
};

static const struct config_item_type playout_schedule_type = {
	.ct_item_ops = &playout_schedule_item_ops,
	.ct_attrs = playout_schedule_attrs,
	.ct_owner = THIS_MODULE,
};

static struct config_item *playout_make_schedule(struct config_group *group, const char *name)
{
	struct playout_schedule *schedule = kzalloc(sizeof(*schedule), GFP_KERNEL);

	if (!schedule)
		return ERR_PTR(-ENOMEM);
	mutex_init(&schedule->lock);
	config_item_init_type_name(&schedule->item, name, &playout_schedule_type);
	return &schedule->item;
}

static struct configfs_group_operations playout_clips_ops = { .make_item = playout_make_clip };
static struct configfs_group_operations playout_schedules_ops = {
	.make_item = playout_make_schedule,
};

static const struct config_item_type playout_clips_type = {
	.ct_group_ops = &playout_clips_ops,
	.ct_owner = THIS_MODULE,
};

static const struct config_item_type playout_schedules_type = {
	.ct_group_ops = &playout_schedules_ops,
	.ct_owner = THIS_MODULE,
};

static const struct config_item_type playout_type = { .ct_owner = THIS_MODULE };

static struct config_group playout_clips, playout_schedules;
static struct configfs_subsystem playout_subsystem = {
	.su_group = { .cg_item = { .ci_namebuf = "playout", .ci_type = &playout_type } },
};

static int __init playout_init(void)
{
	mutex_init(&playout_subsystem.su_mutex);
	config_group_init(&playout_subsystem.su_group);
	config_group_init_type_name(&playout_clips, "clips", &playout_clips_type);
	config_group_init_type_name(&playout_schedules, "schedules", &playout_schedules_type);
	configfs_add_default_group(&playout_clips, &playout_subsystem.su_group);
	configfs_add_default_group(&playout_schedules, &playout_subsystem.su_group);
	return configfs_register_subsystem(&playout_subsystem);
}

static void __exit playout_exit(void)
{
	configfs_unregister_subsystem(&playout_subsystem);
}

module_init(playout_init);
module_exit(playout_exit);
MODULE_DESCRIPTION("Playout");
MODULE_LICENSE("GPL");
