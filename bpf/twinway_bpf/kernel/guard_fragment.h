/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments at the guard: the first one of a datagram is judged, and the others follow it. */
#ifndef TW_GUARD_FRAGMENT_H
#define TW_GUARD_FRAGMENT_H

#include "udp.h"

/*
 * The halves of the datagram's identification take the place of ports, so that all fragments of a datagram
 * have the same two ends. If the first fragment has options behind its fragment header, the others do not
 * match it and are dropped.
 */
static __always_inline int guard_fragment_ends(struct __sk_buff *skb, const struct tw_pkt *pkt,
					       struct tw_end *local, struct tw_end *remote)
{
	__be16 id[2] = {};
	int rc;

	if (pkt->v6)
		rc = bpf_skb_load_bytes(skb, pkt->l4 - 4, id, 4);
	else
		rc = bpf_skb_load_bytes(skb, ETH_HLEN + 4, id, 2);
	local->port = id[0];
	remote->port = id[1];
	return rc;
}

/*
 * A later fragment passes only after the first one of its datagram. Otherwise later fragments would carry
 * any data to a receiver that reads fragments. Kernels send the first fragment first.
 */
static __always_inline int guard_fragment(struct __sk_buff *skb, const struct tw_pkt *pkt,
					  const struct tw_view *whole, bool out)
{
	__u8 flag = out ? TW_UDP_SENT : TW_UDP_RECEIVED;
	struct tw_end local = {}, remote = {};
	struct tw_view view = {.local = &local, .remote = &remote};

	addr_copy(local.addr, whole->local->addr);
	addr_copy(remote.addr, whole->remote->addr);
	if (guard_fragment_ends(skb, pkt, &local, &remote))
		return TW_DROP_SHORT;
	if (pkt->frag == TW_FRAG_LATER)
		return udp_answers(&view, PROTO_FRAGMENT, flag) ? TW_GO_ON : TW_DROP_FRAGMENT;
	udp_remember(&view, PROTO_FRAGMENT, flag);
	return TW_GO_ON;
}

#endif
