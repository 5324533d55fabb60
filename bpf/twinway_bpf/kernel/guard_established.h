/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path of the guard: segments of an established connection that policy allowed. */
#ifndef TW_GUARD_ESTABLISHED_H
#define TW_GUARD_ESTABLISHED_H

#include "glance.h"
#include "guard_tcp.h"
#include "kept.h"
#include "source.h"

/* Does the pod's kernel keep this connection, or did it within the last second? */
static __always_inline bool guard_is_kept(struct __sk_buff *skb, struct tw_kept *wanted)
{
	struct tw_kept *known = kept_place(wanted);
	struct tw_cfg *cfg = cfg_get();
	struct tw_ep *ep;

	if (!known || !cfg)
		return 0;
	wanted->ifindex = skb->ifindex;
	wanted->stamp = source_stamp(skb, 0);
	wanted->rev = cfg->rev;
	wanted->asked = ct_now() + 1;
	if (kept_is(known, wanted))
		return 1;
	ep = ep_get(wanted->local.addr);
	if (!ep || !ep->policy || !sk_kept(skb, &wanted->local, &wanted->remote, ep->netns, 0))
		return 0;
	*known = *wanted;
	return 1;
}

/* Was the connection of the sending socket judged, and its source address checked with it? */
static __always_inline bool guard_is_judged(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct tw_skpol *known;
	struct tw_cfg *cfg;
	struct tw_sk *given;

	if (!sk || source_is_tagged(skb))
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !tcp_is_stream(sk) || guard_is_hidden(skb, sk))
		return 0;
	given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	if (given)
		return given->begun;
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	cfg = cfg_get();
	return known && cfg && known->verdict == verdict_word(cfg->rev + 1, TW_ALLOW);
}

/* Does the packet pass without a closer look? Most do. */
static __always_inline bool guard_goes_on(struct __sk_buff *skb, bool out)
{
	struct tw_kept seen = {};

	if (!glance_goes_on(skb, &seen.remote, &seen.local))
		return 0;
	return out ? guard_is_judged(skb) : guard_is_kept(skb, &seen);
}

#endif
