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
	__u8 forged; /* it did not come from the node itself, whatever address it bears */
	__u8 pad[4];
};

static __always_inline struct tw_ep *ep_get(const __be32 *addr)
{
	struct tw_addr key;

	addr_copy(key.addr, addr);
	return tw_ep_v3.lookup(&key);
}

static __always_inline bool ep_is_pod(const struct tw_ep *ep)
{
	return ep && ep->kind == TW_EP_POD;
}

/*
 * Is it the node's own address? An element that was replaced may belong to another address by now
 * (policy_of()), so it is read twice.
 */
static __always_inline bool ep_is_node(const __be32 *addr)
{
	const volatile struct tw_ep *ep = ep_get(addr), *again;

	if (!ep || ep->kind != TW_EP_NODE)
		return 0;
	again = ep_get(addr);
	return again == ep && again->kind == TW_EP_NODE;
}

/* The policy of a pod and its generation of classes; set 0: no policy, or no pod. */
struct tw_pod_policy {
	__u64 set;
	__u8 gen;
	__u8 kind; /* enum tw_ep_kind; 0: nobody's address */
	__u8 pad[2];
	__s32 netns; /* as tw_ep.netns */
};

#define POLICY_TRIES 2

/*
 * Read them as one. The kernel gives an element that was replaced to the next update, of another
 * pod perhaps, while programs still read it (htab_map_update_elem): what was read counts only if
 * this is the pod's element afterwards, too. Else the pod is turning just now, twice: closed.
 */
static __always_inline void policy_of(const __be32 *addr, struct tw_pod_policy *policy)
{
	const volatile struct tw_ep *ep, *again;

#pragma unroll
	for (int i = 0; i < POLICY_TRIES; i++) {
		ep = ep_get(addr);
		if (!ep) {
			policy->set = 0;
			policy->kind = 0;
			return;
		}
		policy->kind = ep->kind;
		policy->gen = ep->gen;
		policy->netns = ep->netns;
		policy->set = ep->policy;
		again = ep_get(addr);
		if (again == ep && again->policy == policy->set && again->gen == policy->gen &&
		    again->kind == policy->kind && again->netns == policy->netns) {
			if (policy->kind != TW_EP_POD)
				policy->set = 0;
			return;
		}
	}
	policy->kind = TW_EP_POD;
	policy->set = TW_DENY_ALL;
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

/* The verdict of a pod's policy about a peer in one direction, and its rule. */
static __always_inline __u32 policy_verdict(const struct tw_pod_policy *policy, __u8 direction,
					    const __be32 *peer, const struct tw_ends *ends,
					    __u64 *rule)
{
	struct tw_verdict_key key = {};
	struct tw_verdict *verdict;

	key.prefixlen = VERDICT_PREFIX;
	key.set = policy->set;
	key.class_id = policy_class(peer, policy->gen);
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
	struct tw_pod_policy from = {}, to = {};
	__u64 rule;

	policy_of(ends->from, &from);
	policy_of(ends->to, &to);
	if (from.set && policy_verdict(&from, TW_EGRESS, ends->to, ends, &rule) != TW_ALLOW) {
		verdict_denied(rule, ends->from, TW_EGRESS);
		return TW_DROP_POLICY_EGRESS;
	}
	if (to.set && (from.kind != TW_EP_NODE || ends->forged) &&
	    policy_verdict(&to, TW_INGRESS, ends->from, ends, &rule) != TW_ALLOW) {
		verdict_denied(rule, ends->to, TW_INGRESS);
		return TW_DROP_POLICY_INGRESS;
	}
	return TW_GO_ON;
}

#endif
