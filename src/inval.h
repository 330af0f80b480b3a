/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Letting go of what clients cached by themselves: sendfile(2) and splice(2)
 * of a strict file fill the FUSE inode's own pages, charged to the caller,
 * as a second copy. A thread drops them a moment later: at once would be
 * before the reader has them, and he would ask again.
 */
#ifndef MEMCGFS_INVAL_H
#define MEMCGFS_INVAL_H

#include "inode.h"

struct fuse_session;
struct inval;

int inval_new(struct inode_table *table, struct inval **out);

/* Drops what is queued without being told to the kernel. */
struct inval *inval_free(struct inval *inval);

void inval_set_session(struct inval *inval, struct fuse_session *session);

/* Has the inode's cached pages dropped soon; any number of times. */
void inval_queue(struct inval *inval, struct inode *inode);

#endif
