/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The guard at a pod's own loopback. */
#ifndef TW_GUARD_LO_H
#define TW_GUARD_LO_H

#include "glance.h"
#include "sk_self.h"
#include "source.h"

/* Judge what a pod sends to itself through a Service. Other traffic on its loopback passes. */
static __always_inline int guard_own(struct __sk_buff *skb)
{
	struct tw_pkt pkt = {};
	struct tw_end src = {}, dst = {};
	struct bpf_sock *sk = skb->sk;

	if (glance_goes_on(skb, &src, &dst) || !sk)
		return TW_GO_ON;
	sk = bpf_sk_fullsock(sk);
	if (!sk || parse(skb, &pkt) || !addr_equal(pkt.src.addr, pkt.dst.addr))
		return TW_GO_ON;
	return self_check(sk, &pkt);
}

/* 127.0.0.0/8 and ::/96 (RFC 4291): sidecars use them, and no packet from elsewhere can bear them. */
static __always_inline bool guard_is_loopback(const __be32 *addr)
{
	if (addr[0] || addr[1])
		return 0;
	return !addr[2] ||
	       (addr[2] == be32(0x0000ffff) && (addr[3] & be32(0xff000000)) == be32(0x7f000000));
}

static __always_inline bool guard_same_pod(const struct tw_ep *a, const struct tw_ep *b)
{
	if (!ep_is_pod(a) || !ep_is_pod(b))
		return 0;
	return a->ifindex ? a->ifindex == b->ifindex : a->stamp && a->stamp == b->stamp;
}

/*
 * A process can forge a peer's segments on its own pod's loopback, and so begin a connection with that peer
 * without any device seeing it begin. So TCP for a pod under a policy must come from the pod itself here.
 */
static __always_inline int guard_loopback(struct __sk_buff *skb)
{
	struct tw_pkt pkt = {};
	struct tw_end src = {}, dst = {};
	struct tw_ep *to;
	int rc;

	if (source_is_tagged(skb))
		return TW_DROP_SPOOFED;
	if (glance_goes_on(skb, &src, &dst))
		return TW_GO_ON;
	rc = parse(skb, &pkt);
	if (rc || pkt.proto != PROTO_TCP || guard_is_loopback(pkt.src.addr) ||
	    addr_equal(pkt.src.addr, pkt.dst.addr))
		return rc;
	to = ep_get(pkt.dst.addr);
	if (!ep_is_pod(to) || !to->policy || guard_same_pod(to, ep_get(pkt.src.addr)))
		return TW_GO_ON;
	return TW_DROP_SPOOFED;
}

#endif
