/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragments at the guard. */
#ifndef TW_GUARD_FRAGMENT_H
#define TW_GUARD_FRAGMENT_H

#include "udp.h"

/*
 * Fragments of one datagram, as if they were packets between ports that its identification makes.
 * Its head may have options behind the fragment header: then what follows is not known by it, and lost.
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
 * A head is judged, and what follows passes after it alone: else it would carry anything to anybody
 * who reads fragments. Heads go first, as kernels send them.
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
