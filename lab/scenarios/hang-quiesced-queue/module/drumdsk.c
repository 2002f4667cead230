// SPDX-License-Identifier: GPL-2.0
/* A drum in memory, whose tracks can be laid out anew. */
#include <linux/blk-mq.h>
#include <linux/vmalloc.h>
#include "control.h"

#define DRUM_BYTES (4 << 20)

struct drum {
	struct blk_mq_tag_set tags;
	struct gendisk *disk;
	char *store;
	unsigned int tracks;
	int major;
};

static struct drum drum = { .tracks = 8 };

static blk_status_t drum_queue(struct blk_mq_hw_ctx *context, const struct blk_mq_queue_data *data)
{
	struct request *request = data->rq;
	loff_t at = (loff_t)blk_rq_pos(request) << 9;
	struct req_iterator iterator;
	struct bio_vec vector;

	blk_mq_start_request(request);
	rq_for_each_segment(vector, request, iterator) {
		void *memory = kmap_local_page(vector.bv_page);

		if (op_is_write(req_op(request)))
			memcpy(drum.store + at, memory + vector.bv_offset, vector.bv_len);
		else
			memcpy(memory + vector.bv_offset, drum.store + at, vector.bv_len);
		kunmap_local(memory);
		at += vector.bv_len;
	}
	blk_mq_end_request(request, BLK_STS_OK);
	return BLK_STS_OK;
}

static noinline int drum_tracks(struct drum *one, unsigned int tracks)
{
	if (!tracks || tracks > 16) {
		pr_warn("drum: no layout with %u tracks\n", tracks);
		return -EINVAL;
	}
	one->tracks = tracks;
	return 0;
}

/* The mistake: with an error it returns and the queue stays quiesced. */
static noinline int drum_set_layout(struct drum *one, unsigned int tracks)
{
	int status;

	blk_mq_quiesce_queue(one->disk->queue);
	status = drum_tracks(one, tracks);
	if (status)
		return status;
	memset(one->store, 0, 4096);
	blk_mq_unquiesce_queue(one->disk->queue);
	return 0;
}

static int drum_command(char *text)
{
	unsigned int tracks;

	if (sscanf(text, "layout %u", &tracks) != 1)
		return -EINVAL;
	return drum_set_layout(&drum, tracks);
}

static const struct blk_mq_ops drum_mq_ops = { .queue_rq = drum_queue };
static const struct block_device_operations drum_fops = { .owner = THIS_MODULE };

CONTROL_FILE(drum, drum_command);

static int __init drum_init(void)
{
	drum.store = vzalloc(DRUM_BYTES);
	drum.major = register_blkdev(0, "drum");
	drum.tags.ops = &drum_mq_ops;
	drum.tags.nr_hw_queues = 1;
	drum.tags.queue_depth = 64;
	drum.tags.numa_node = NUMA_NO_NODE;
	if (!drum.store || blk_mq_alloc_tag_set(&drum.tags))
		return -ENOMEM;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	drum.disk = blk_mq_alloc_disk(&drum.tags, NULL, &drum);
#else
	drum.disk = blk_mq_alloc_disk(&drum.tags, &drum);
#endif
	if (IS_ERR(drum.disk))
		return PTR_ERR(drum.disk);
	drum.disk->major = drum.major;
	drum.disk->minors = 16;
	drum.disk->fops = &drum_fops;
	strcpy(drum.disk->disk_name, "drum0");
	set_capacity(drum.disk, DRUM_BYTES >> 9);
	if (add_disk(drum.disk))
		return -EIO;
	return CONTROL_CREATE(drum, "drumdsk");
}

static void __exit drum_exit(void)
{
	CONTROL_REMOVE("drumdsk");
	del_gendisk(drum.disk);
	put_disk(drum.disk);
	blk_mq_free_tag_set(&drum.tags);
	unregister_blkdev(drum.major, "drum");
	vfree(drum.store);
}

module_init(drum_init);
module_exit(drum_exit);
MODULE_DESCRIPTION("Drum");
MODULE_LICENSE("GPL");
