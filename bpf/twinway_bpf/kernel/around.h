/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of a pod that did not meet the programs at its own device: a socket that hands them to the driver
 * (PACKET_QDISC_BYPASS, AF_XDP) by a call that no program sees, or another device that the pod made. They lack
 * the mark that a pod's stamp leaves (stamp.py), and their socket is in the pod's namespace. The mark stands in
 * the control block, which no program of a pod can write.
 */
#ifndef TW_AROUND_H
#define TW_AROUND_H

#include "tw_features.h"
#include "tw_maps.h"

#define TW_STAMPED 0x74777374 /* stamp.py has the same */

/*
 * netns cookie -> nothing: the namespaces of this node's pods that have their hooks inside.
 * Written by the agent once these stand. Missing: not one of them. Full: the agent says so.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_netns_v1, 4096, NO_PREALLOC);

/* What comes off a wire has no socket, and what went the right way has the mark: both are told by two loads. */
static __always_inline bool went_around(struct __sk_buff *skb)
{
	__u64 cookie;

	if (skb->cb[3] == TW_STAMPED || !skb->sk)
		return 0;
	if (!(features() & TW_HAS_NETNS_COOKIE_ON_PACKETS))
		return 0;
	cookie = bpf_get_netns_cookie(skb);
	return tw_netns_v1.lookup(&cookie);
}

#endif
