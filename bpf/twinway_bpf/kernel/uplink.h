/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * At an uplink, packets are delivered past the host's stack. So this repeats what the stack refuses: frames
 * for other stations, and sources that no host on the network can have.
 */
#ifndef TW_UPLINK_H
#define TW_UPLINK_H

#include "policy.h"
#include "source.h"

#define PACKET_HOST 0 /* of skb->pkt_type: a frame for this device's own MAC */
#define AWAY 64

/*
 * hash of a source -> the last one that was no address of this node or of its pods, and since which
 * change of places: asked before tw_ep, which takes longer. Written and read here. Missing, another's, or
 * older than tw_cfg.places: tw_ep is asked.
 */
BPF_TABLE("percpu_array", __u32, struct tw_source, tw_away_v1, AWAY);

static __always_inline bool uplink_is_away(const __be32 *addr)
{
	__u32 at = (addr[3] ^ (addr[3] >> 24) ^ (addr[3] >> 16)) & (AWAY - 1), places;
	struct tw_source *known = tw_away_v1.lookup(&at);
	struct tw_cfg *cfg = cfg_get();

	if (!known || !cfg)
		return !ep_get(addr);
	places = cfg->places + 1;
	if (known->places == places && addr_equal(known->addr, addr))
		return 1;
	if (ep_get(addr))
		return 0;
	known->places = 0;
	addr_copy(known->addr, addr);
	known->places = places;
	return 1;
}

/* Sources that the stack refuses to forward: loopback, groups, none, link-local. RFC 6890, RFC 4291. */
static __always_inline bool uplink_is_martian(const struct tw_pkt *pkt)
{
	const __be32 *src = pkt->src.addr;
	__u8 first = (__u8)src[3];

	if (!pkt->v6)
		return !first || first == 127 || first >= 224;
	return addr_is_link_local(src) || !(src[0] | src[1] | src[2]);
}

/* TW_PASS_STACK: the stack refuses it. Over IPv6 it would accept a source of this node, so that is dropped here. */
static __always_inline int uplink_check(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	if (skb->pkt_type != PACKET_HOST || uplink_is_martian(pkt))
		return TW_PASS_STACK;
	return uplink_is_away(pkt->src.addr) ? TW_GO_ON : TW_DROP_SPOOFED;
}

#endif
