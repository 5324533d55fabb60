/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each processor remembers connections that their pod's kernel kept a moment ago. To ask the kernel takes
 * twice as long, and most segments are one of many.
 *
 * What is remembered outlives its socket for a second at most, and ends with the policy revision. A segment
 * that passes meanwhile comes from the peer of a connection that policy let begin, between the same ports
 * and to the same device. It finds no socket, so the pod answers with a reset, which is judged like any
 * other. It begins nothing, because a SYN is always judged.
 */
#ifndef TW_KEPT_H
#define TW_KEPT_H

#include "idle.h"
#include "tw_maps.h"

#define KEPT 256 /* a power of two: 2^24 in kept_place() */

struct tw_kept {
	struct tw_end local;
	struct tw_end remote;
	__u32 ifindex; /* the device where its segments come to the pod */
	__u32 stamp;   /* the pod's, where its device may have the index of another pod's */
	__u32 rev;     /* tw_cfg.rev */
	__u32 asked;   /* when the kernel last kept it, as tw_ct.seen, + 1; 0: never */
};

/*
 * hash of a connection -> the last one with that hash that its pod's kernel kept.
 * Written and read by the guard. Another one, of an earlier unit of time, or of another revision: the kernel
 * is asked.
 */
BPF_TABLE("percpu_array", __u32, struct tw_kept, tw_kept_v1, KEPT);

static __always_inline struct tw_kept *kept_place(const struct tw_kept *wanted)
{
	__u32 ports = wanted->local.port | (__u32)wanted->remote.port << 16;
	__u32 h = wanted->local.addr[3] ^ wanted->remote.addr[3] ^ ports;
	__u32 at = (h * 0x9e3779b1) >> 24;

	return tw_kept_v1.lookup(&at);
}

static __always_inline bool kept_is(const struct tw_kept *kept, const struct tw_kept *wanted)
{
	return kept->asked == wanted->asked && kept->rev == wanted->rev &&
	       kept->ifindex == wanted->ifindex && kept->stamp == wanted->stamp &&
	       end_equal(&kept->local, &wanted->local) && end_equal(&kept->remote, &wanted->remote);
}

#endif
