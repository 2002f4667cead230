// SPDX-License-Identifier: GPL-2.0
/* A disk in memory whose board signals finished requests with one interrupt. */
#include <linux/blk-mq.h>
#include <linux/vmalloc.h>
#include "control.h"

#define RVD_BYTES (16 << 20)

struct rvd_board {
	struct blk_mq_tag_set tags;
	struct gendisk *disk;
	char *store;
	spinlock_t lock;
	struct list_head done;
	struct request *last;
	bool coalesce;
	struct timer_list irq;
	int major;
};

struct rvd_slot {
	struct list_head list;
	struct request *request;
};

static struct rvd_board rvd_board;

static void rvd_copy(struct rvd_board *board, struct request *request)
{
	loff_t at = (loff_t)blk_rq_pos(request) << 9;
	struct req_iterator iterator;
	struct bio_vec vector;

	rq_for_each_segment(vector, request, iterator) {
		void *memory = kmap_local_page(vector.bv_page);

		if (op_is_write(req_op(request)))
			memcpy(board->store + at, memory + vector.bv_offset, vector.bv_len);
		else
			memcpy(memory + vector.bv_offset, board->store + at, vector.bv_len);
		kunmap_local(memory);
		at += vector.bv_len;
	}
}

static blk_status_t rvd_queue_rq(struct blk_mq_hw_ctx *context, const struct blk_mq_queue_data *data)
{
	struct rvd_board *board = context->queue->queuedata;
	struct rvd_slot *slot = blk_mq_rq_to_pdu(data->rq);
	unsigned long flags;

	blk_mq_start_request(data->rq);
	if (blk_rq_bytes(data->rq))
		rvd_copy(board, data->rq);
	slot->request = data->rq;
	spin_lock_irqsave(&board->lock, flags);
	/* The mistake: with one interrupt for several requests, only the last is remembered. */
	if (board->coalesce)
		board->last = data->rq;
	else
		list_add_tail(&slot->list, &board->done);
	spin_unlock_irqrestore(&board->lock, flags);
	mod_timer(&board->irq, jiffies + 2);
	return BLK_STS_OK;
}

static void rvd_irq(struct timer_list *timer)
{
	struct rvd_board *board = timer_owner(board, timer, irq);
	struct rvd_slot *slot, *next;
	struct request *last;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&board->lock, flags);
	list_splice_init(&board->done, &done);
	last = board->last;
	board->last = NULL;
	spin_unlock_irqrestore(&board->lock, flags);
	list_for_each_entry_safe(slot, next, &done, list)
		blk_mq_end_request(slot->request, BLK_STS_OK);
	if (last)
		blk_mq_end_request(last, BLK_STS_OK);
}

static const struct blk_mq_ops rvd_mq_ops = { .queue_rq = rvd_queue_rq };
static const struct block_device_operations rvd_fops = { .owner = THIS_MODULE };

static int rvd_command(char *text)
{
	rvd_board.coalesce = true;
	return 0;
}

CONTROL_FILE(rvd, rvd_command);

static int __init rvd_init(void)
{
	struct rvd_board *board = &rvd_board;

	board->store = vzalloc(RVD_BYTES);
	spin_lock_init(&board->lock);
	INIT_LIST_HEAD(&board->done);
	timer_setup(&board->irq, rvd_irq, 0);
	board->major = register_blkdev(0, "rvd");
	board->tags.ops = &rvd_mq_ops;
	board->tags.nr_hw_queues = 1;
	board->tags.queue_depth = 64;
	board->tags.numa_node = NUMA_NO_NODE;
	board->tags.cmd_size = sizeof(struct rvd_slot);
#ifdef BLK_MQ_F_SHOULD_MERGE
	board->tags.flags = BLK_MQ_F_SHOULD_MERGE;
#endif
	if (!board->store || blk_mq_alloc_tag_set(&board->tags))
		return -ENOMEM;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	board->disk = blk_mq_alloc_disk(&board->tags, NULL, board);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
	board->disk = blk_mq_alloc_disk(&board->tags, board);
#else
	board->disk = alloc_disk(16);
	board->disk->queue = blk_mq_init_queue(&board->tags);
	board->disk->queue->queuedata = board;
#endif
	if (IS_ERR(board->disk))
		return PTR_ERR(board->disk);
	board->disk->major = board->major;
	board->disk->minors = 16;
	board->disk->fops = &rvd_fops;
	board->disk->private_data = board;
	strcpy(board->disk->disk_name, "rvd0");
	set_capacity(board->disk, RVD_BYTES >> 9);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	if (add_disk(board->disk))
		return -EIO;
#else
	add_disk(board->disk);
#endif
	return CONTROL_CREATE(rvd, "rvdisk");
}

static void __exit rvd_exit(void)
{
	CONTROL_REMOVE("rvdisk");
	del_gendisk(rvd_board.disk);
	timer_delete_sync(&rvd_board.irq);
	blk_mq_free_tag_set(&rvd_board.tags);
	unregister_blkdev(rvd_board.major, "rvd");
	vfree(rvd_board.store);
}

module_init(rvd_init);
module_exit(rvd_exit);
MODULE_DESCRIPTION("Memory board disk");
MODULE_LICENSE("GPL");
