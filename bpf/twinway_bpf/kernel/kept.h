/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each processor remembers what the guard found out about a connection a moment ago: that policy let it begin,
 * and that the pod's kernel keeps it. To ask the policy and the kernel again takes several times as long, most
 * segments are one of many, and a short connection needs no verdict on its socket.
 *
 * What is remembered outlives its socket for a second at most, and ends with the policy revision. It is known by
 * both ends, as a verdict is, so it says the same of any accepted socket between them. A segment to the pod
 * that passes meanwhile comes from the peer of a connection that policy let begin. If that has gone, the
 * segment finds no socket, and the pod answers with a reset, which is judged like any other. It begins nothing,
 * because a SYN is always judged.
 */
#ifndef TW_KEPT_H
#define TW_KEPT_H

#include "idle.h"
#include "judge.h"
#include "source.h"
#include "tw_maps.h"

#define KEPT 256 /* a power of two: 2^24 in kept_place() */

enum tw_kept_flag {
	TW_KEPT_SYN = 1,  /* ingress allowed the peer's SYN */
	TW_KEPT_HERE = 2, /* the pod's kernel keeps the connection */
	TW_KEPT_ACCEPTED =
		4, /* its SYN-ACK left: ingress allowed it, and the pod has this address */
};

struct tw_kept {
	struct tw_end local;
	struct tw_end remote;
	__u32 ifindex; /* the device where its segments come to the pod */
	__u32 stamp;   /* the pod's, where its device may have the index of another pod's */
	__u32 rev;     /* tw_cfg.rev */
	__u32 asked;   /* when this was found out, as tw_ct.seen, + 1; 0: never */
	__u32 flags;   /* enum tw_kept_flag */
};

/*
 * hash of a connection -> the last one with that hash, and what is known of it.
 * Written and read by the guard. Another one, of an earlier unit of time, or of another revision: policy and
 * the kernel are asked.
 */
BPF_TABLE("percpu_array", __u32, struct tw_kept, tw_kept_v2, KEPT);

static __always_inline struct tw_kept *kept_place(const struct tw_end *local,
						  const struct tw_end *remote)
{
	__u32 ports = local->port | (__u32)remote->port << 16;
	__u32 h = local->addr[3] ^ remote->addr[3] ^ ports;
	__u32 at = (h * 0x9e3779b1) >> 24;

	return tw_kept_v2.lookup(&at);
}

static __always_inline bool kept_is(const struct tw_kept *kept, const struct tw_kept *wanted)
{
	return kept->asked == wanted->asked && kept->rev == wanted->rev &&
	       kept->ifindex == wanted->ifindex && kept->stamp == wanted->stamp &&
	       end_equal(&kept->local, &wanted->local) && end_equal(&kept->remote, &wanted->remote);
}

/*
 * Complete what is wanted, whose ends are set, and return its place, which may be another connection's. NULL:
 * nothing can be remembered.
 */
static __always_inline struct tw_kept *kept_find(struct __sk_buff *skb, struct tw_kept *wanted,
						 bool out)
{
	struct tw_cfg *cfg = cfg_get();

	if (!cfg)
		return 0;
	wanted->ifindex = skb->ifindex;
	wanted->stamp = source_stamp(skb, out);
	wanted->rev = cfg->rev;
	wanted->asked = ct_now() + 1;
	return kept_place(&wanted->local, &wanted->remote);
}

/* Remember what was found out of a view's connection at this device. */
static __always_inline void kept_note(struct __sk_buff *skb, const struct tw_view *view, bool out,
				      __u32 flags)
{
	struct tw_kept *place = kept_place(view->local, view->remote);
	__u32 ifindex = skb->ifindex, stamp = source_stamp(skb, out);

	if (!place)
		return;
	end_copy(&place->local, view->local);
	end_copy(&place->remote, view->remote);
	place->ifindex = ifindex;
	place->stamp = stamp;
	place->rev = view->rev;
	place->asked = ct_now() + 1;
	place->flags = flags;
}

#endif
