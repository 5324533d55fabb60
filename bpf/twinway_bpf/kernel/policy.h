/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy: two look-ups decide. The address of the peer has a class; (policy set, direction, class,
 * protocol, port) has a verdict, with tiers and priorities already resolved. Fails closed.
 */
#ifndef TW_POLICY_H
#define TW_POLICY_H

#include "net.h"
#include "verdict.h"

/* Everything before the port must match to the bit; the port may match by a prefix. */
#define VERDICT_PREFIX (8 * (1 + 1 + 2 + 8 + 8 + 2))

/* A connection as policy sees it: who opened it, and the backend where a Service was asked. */
struct tw_ends {
	__be32 from[4];
	__be32 to[4];
	__be16 port; /* at `to` */
	__u8 proto;
	__u8 pad[5];
};

static __always_inline struct tw_ep *ep_get(const __be32 *addr)
{
	struct tw_addr key;

	addr_copy(key.addr, addr);
	return tw_ep_v1.lookup(&key);
}

static __always_inline bool ep_is_pod(const struct tw_ep *ep)
{
	return ep && ep->kind == TW_EP_POD;
}

static __always_inline __u64 policy_class(const __be32 *addr, __u8 gen)
{
	struct tw_class_key key = {};
	struct tw_class *found;

	key.prefixlen = 128;
	addr_copy(key.addr, addr);
	found = tw_class_v1.lookup(&key);
	if (!found)
		return 0;
	return gen & 1 ? found->id[1] : found->id[0];
}

/* What `ep` says of a peer in one direction; the rule is told in any case. */
static __always_inline __u32 policy_verdict(const struct tw_ep *ep, __u8 direction,
					    const __be32 *peer, const struct tw_ends *ends,
					    __u64 *rule)
{
	struct tw_verdict_key key = {};
	struct tw_verdict *verdict;

	key.prefixlen = VERDICT_PREFIX;
	key.set = ep->policy;
	key.class_id = policy_class(peer, ep->gen);
	key.direction = direction;
	if (ends->proto == PROTO_TCP || ends->proto == PROTO_UDP || ends->proto == PROTO_SCTP) {
		key.proto = ends->proto;
		key.port = ends->port;
	}
	verdict = tw_verdict_v1.lookup(&key);
	if (!verdict && key.class_id) {
		key.class_id = 0;
		verdict = tw_verdict_v1.lookup(&key);
	}
	if (!verdict) {
		*rule = 0;
		return TW_DENY;
	}
	*rule = verdict->rule;
	return verdict->action;
}

/*
 * Judge a connection for every end of it that is a pod of this node. A node always reaches its
 * own pods (kubelet's probes). Source: NetworkPolicy concept page, "network traffic filtering".
 */
static __always_inline int policy_judge(const struct tw_ends *ends)
{
	struct tw_ep *from = ep_get(ends->from);
	struct tw_ep *to = ep_get(ends->to);
	__u64 rule;

	if (ep_is_pod(from) && from->policy &&
	    policy_verdict(from, TW_EGRESS, ends->to, ends, &rule) != TW_ALLOW) {
		verdict_denied(rule);
		return TW_DROP_POLICY_EGRESS;
	}
	if (ep_is_pod(to) && to->policy && !(from && from->kind == TW_EP_NODE) &&
	    policy_verdict(to, TW_INGRESS, ends->from, ends, &rule) != TW_ALLOW) {
		verdict_denied(rule);
		return TW_DROP_POLICY_INGRESS;
	}
	return TW_GO_ON;
}

#endif
