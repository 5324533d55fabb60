/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Detects frames that bypassed the programs at their pod's own device. A pod can send such frames through a
 * socket that hands them to the driver (PACKET_QDISC_BYPASS, AF_XDP) by a call that no program sees, or through
 * a second device that it made. Their socket is in the pod's namespace, but they lack the mark that the pod's
 * stamp leaves (stamp.py). The mark is in the control block, which no process in a pod can write.
 */
#ifndef TW_AROUND_H
#define TW_AROUND_H

#include "tw_features.h"
#include "tw_maps.h"

#define TW_STAMPED 0x74777374 /* stamp.py has the same */

/*
 * netns cookie -> nothing: the namespaces of this node's pods whose hooks are inside the namespace.
 * Written by the agent after the hooks are attached. Missing: any other namespace. Full: the agent reports it.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_netns_v1, 4096, NO_PREALLOC);

/* Frames from the wire have no socket, and frames that met the programs have the mark: two loads decide most. */
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
