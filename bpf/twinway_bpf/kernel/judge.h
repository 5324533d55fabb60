/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policy for one pod and one peer, for programs that keep no connections. */
#ifndef TW_JUDGE_H
#define TW_JUDGE_H

#include "parse.h"
#include "policy.h"

/* A packet as its pod sees it. */
struct tw_view {
	struct tw_pod_policy policy; /* set 0: no pod, or a pod under no policy */
	const struct tw_end *local;
	const struct tw_end *remote;
	bool node; /* the peer is the node itself */
	__u32 rev; /* of the guard: tw_cfg.rev, read before the policy */
};

static __always_inline void view_set(struct tw_view *view, const struct tw_pkt *pkt, bool out)
{
	view->local = out ? &pkt->src : &pkt->dst;
	view->remote = out ? &pkt->dst : &pkt->src;
	view->node = ep_is_node(view->remote->addr);
	policy_of(view->local->addr, &view->policy);
}

/*
 * May the pod open a connection to the peer's port (egress), or the peer to the pod's port? The direction
 * may depend on the packet, so it is part of the key and not a branch.
 */
static __always_inline __u8 judge(const struct tw_view *view, __u8 proto, bool egress, __u64 *rule)
{
	struct tw_ends ends = {};

	if (!egress && view->node)
		return TW_ALLOW;
	ends.proto = proto;
	ends.port = egress ? view->remote->port : view->local->port;
	return policy_verdict(&view->policy, egress ? TW_EGRESS : TW_INGRESS, view->remote->addr,
			      &ends, rule);
}

/* The reason that a judgement leads to. A denial is counted for its rule and its pod. */
static __always_inline int judged(const struct tw_view *view, __u8 action, __u64 rule, bool egress)
{
	if (action == TW_ALLOW)
		return TW_GO_ON;
	verdict_denied(rule, view->local->addr, egress ? TW_EGRESS : TW_INGRESS);
	return egress ? TW_DROP_POLICY_EGRESS : TW_DROP_POLICY_INGRESS;
}

static __always_inline int judge_way(const struct tw_view *view, __u8 proto, bool egress)
{
	__u64 rule = 0;
	__u8 action = judge(view, proto, egress, &rule);

	return judged(view, action, rule, egress);
}

static __always_inline bool judge_is_open(const struct tw_view *view, __u8 proto, bool egress)
{
	__u64 rule;

	return judge(view, proto, egress, &rule) == TW_ALLOW;
}

#endif
