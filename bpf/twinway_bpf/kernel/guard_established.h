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
	struct tw_kept *known = kept_find(skb, wanted, 0);
	struct tw_ep *ep;

	if (!known)
		return 0;
	if (kept_is(known, wanted) && (known->flags & TW_KEPT_HERE))
		return 1;
	ep = ep_get(wanted->local.addr);
	if (!ep || !ep->policy || !sk_kept(skb, &wanted->local, &wanted->remote, ep->netns, 0))
		return 0;
	wanted->flags = TW_KEPT_HERE;
	*known = *wanted;
	return 1;
}

/*
 * Is it remembered that policy allowed this connection to the pod? A request answers a SYN that was judged; with
 * its SYN-ACK, the source address is checked, and from then on the kernel keeps the connection.
 */
static __always_inline bool guard_is_accepted(struct __sk_buff *skb, struct tw_kept *wanted,
					      bool request)
{
	struct tw_kept *known = kept_find(skb, wanted, 1);

	if (!known || !kept_is(known, wanted))
		return 0;
	if (!request)
		return known->flags & TW_KEPT_ACCEPTED;
	if (!(known->flags & TW_KEPT_SYN) || !source_is_own(skb, wanted->local.addr))
		return 0;
	known->flags |= TW_KEPT_HERE | TW_KEPT_ACCEPTED;
	return 1;
}

/* Was the connection of the sending socket judged, and its source address checked with it? */
static __always_inline bool guard_is_judged(struct __sk_buff *skb, struct tw_kept *wanted)
{
	struct bpf_sock *sk = skb->sk;
	struct tw_skpol *known;
	struct tw_cfg *cfg;
	struct tw_sk *given;
	bool request;

	if (!sk || source_is_tagged(skb))
		return 0;
	request = sk->state == STATE_REQUEST;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return guard_is_accepted(skb, wanted, request);
	if (!tcp_is_stream(sk) || guard_is_hidden(skb, sk))
		return 0;
	given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	if (given)
		return given->begun;
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	cfg = cfg_get();
	if (known && cfg && known->verdict == verdict_word(cfg->rev + 1, TW_ALLOW))
		return 1;
	return guard_is_accepted(skb, wanted, 0);
}

/* Does the packet pass without a closer look? Most do. */
static __always_inline bool guard_goes_on(struct __sk_buff *skb, bool out)
{
	struct tw_kept seen = {};
	struct tw_end *src = out ? &seen.local : &seen.remote;
	struct tw_end *dst = out ? &seen.remote : &seen.local;

	if (!glance_goes_on(skb, src, dst))
		return 0;
	return out ? guard_is_judged(skb, &seen) : guard_is_kept(skb, &seen);
}

#endif
