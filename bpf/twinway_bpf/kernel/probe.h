/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frame by which the agent sees that programs at a pod's device run.
 *
 * The agent sends it out of the device. The egress program sends it back in, and the ingress program
 * drops it under a reason that the agent reads, so that one frame has met both and nobody receives it.
 * It bears a number that the agent draws and writes to tw_cfg until the frame was counted: a frame
 * that anybody else sends is like any other.
 */
#ifndef TW_PROBE_H
#define TW_PROBE_H

#include "parse.h"
#include "tw_maps.h"
#include "verdict.h"

#define ETH_PROBE 0x88b5 /* Local Experimental EtherType 1. Source: IEEE 802, 9.2.4 */

static __always_inline bool probe_is(struct __sk_buff *skb)
{
	struct tw_cfg *cfg;
	__u32 number;

	if (skb->protocol != be16(ETH_PROBE))
		return 0;
	cfg = cfg_get();
	if (!cfg || !cfg->probe)
		return 0;
	if (bpf_skb_load_bytes(skb, sizeof(struct eth_hdr), &number, sizeof(number)))
		return 0;
	return number == cfg->probe;
}

static __always_inline int probe_answer(struct __sk_buff *skb, struct tw_pkt *pkt, bool leaves)
{
	if (!leaves)
		return TW_DROP_PROBE;
	pkt->action = bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	return TW_PASS_REDIRECTED;
}

#endif
