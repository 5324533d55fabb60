/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors at the guard: an error passes if what it quotes is there. */
#ifndef TW_GUARD_ERROR_H
#define TW_GUARD_ERROR_H

#include "sk_kept.h"
#include "udp.h"

/*
 * Does the packet that an error quotes belong to traffic that exists? The error must go to the sender of the
 * quoted packet, and an error from a pod must quote a packet sent to that pod. For TCP, the kernel must keep
 * the connection. For other protocols, the flow must be remembered, or open in both directions.
 */
static __always_inline bool guard_is_related(struct __sk_buff *skb, const struct tw_pkt *pkt,
					     const struct tw_pkt *quoted, bool out)
{
	struct tw_view view = {};

	if (!addr_equal(pkt->dst.addr, quoted->src.addr) ||
	    (out && !addr_equal(pkt->src.addr, quoted->dst.addr)))
		return 0;
	view_set(&view, quoted, !out);
	if (quoted->proto == PROTO_TCP) {
		if (sk_kept(skb, view.local, view.remote, view.policy.netns, 0))
			return 1;
		/* routers report errors, too, but only about a connection that the pod began */
		if (!out)
			return udp_answers(&view, PROTO_TCP, TW_UDP_SENT);
	}
	if (!judge_is_open(&view, quoted->proto, !out))
		return 0;
	return judge_is_open(&view, quoted->proto, out) ||
	       udp_answers(&view, quoted->proto, out ? TW_UDP_RECEIVED : TW_UDP_SENT);
}

/* An error about no known traffic is judged like any other packet. */
static __always_inline int guard_error(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_view *view, bool out)
{
	struct tw_pkt quoted = {};
	int rc = parse_quoted(skb, pkt, &quoted);

	if (rc)
		return rc;
	if (guard_is_related(skb, pkt, &quoted, out))
		return TW_GO_ON;
	return udp_check(view, pkt->proto, out);
}

#endif
