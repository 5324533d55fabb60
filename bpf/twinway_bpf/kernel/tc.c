/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet path: programs for the tc and tcx hooks.
 *
 *     veth     pod eth0 ── host side: tw_host_from (its ingress), tw_host_to (its egress)
 *     others   pod eth0: tw_pod_out (its egress), tw_pod_in (its ingress), in the pod's namespace
 *     uplink   tw_uplink_in (its ingress), where pods are on veth: past the host's stack, inwards
 *
 * TC_ACT_UNSPEC lets the next filter decide, ours or not.
 */
#include "around.h"
#include "pod.h"
#include "probe.h"
#include "uplink.h"

/* The one exit: count the reason, and return what tc understands. */
static __always_inline int finish(const struct tw_scratch *scratch, int reason)
{
	verdict_count(reason);
	return reason >= TW_FIRST_DROPPED ? TC_ACT_SHOT : scratch->pkt.action;
}

static __always_inline int no_scratch(void)
{
	verdict_count(TW_DROP_NO_ENTRY);
	return TC_ACT_SHOT;
}

static __always_inline bool is_answered(int reason)
{
	return reason >= TW_FIRST_ANSWERED && reason < TW_FIRST_DROPPED;
}

/* Reject a packet to the pod that sent it. If that fails, drop it with a reason of its own. */
static __always_inline int refuse(struct __sk_buff *skb, struct tw_scratch *scratch, int reason,
				  bool in_pod)
{
	int rc;

	if (!is_answered(reason))
		return reason;
	rc = reject(skb, &scratch->pkt, &scratch->message);
	if (rc)
		return rc;
	deliver_back(skb, &scratch->pkt, in_pod);
	return reason;
}

static __always_inline int translated(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	return pkt->changed ? nat_write(skb, pkt) : TW_GO_ON;
}

static __always_inline int unread(struct __sk_buff *skb, struct tw_pkt *pkt, bool in_pod,
				  bool leaves)
{
	return probe_is(skb) ? probe_answer(skb, pkt, leaves) : device_unread(skb, in_pod);
}

static __always_inline int from_pod(struct __sk_buff *skb, struct tw_scratch *scratch,
				    struct tw_conn *conn, bool in_pod)
{
	struct tw_cfg *cfg = cfg_get();
	int rc = link_from_pod(skb, &scratch->pkt, parse(skb, &scratch->pkt));

	if (rc == TW_PASS_NOT_IP)
		return unread(skb, &scratch->pkt, in_pod, in_pod);
	if (rc)
		return rc;
	if (!cfg)
		return TW_DROP_NO_ENTRY;
	rc = source_verdict(&scratch->pkt, source_is_still_own(skb, scratch->pkt.src.addr));
	if (rc)
		return rc;
	rc = pod_sends(skb, scratch, conn, cfg, in_pod);
	return rc ? refuse(skb, scratch, rc, in_pod) : translated(skb, &scratch->pkt);
}

static __always_inline int towards_pod(struct __sk_buff *skb, struct tw_scratch *scratch,
				       enum tw_where where)
{
	struct tw_conn conn = {.names = &scratch->names};
	struct tw_cfg *cfg = cfg_get();
	struct tw_ep *ep;
	int rc = parse(skb, &scratch->pkt);

	scratch->pkt.where = where;
	if (rc == TW_PASS_NOT_IP && where != TW_AT_UPLINK)
		return unread(skb, &scratch->pkt, where == TW_IN_POD, where == TW_AT_HOST_SIDE);
	if (rc)
		return rc;
	if (!cfg)
		return TW_DROP_NO_ENTRY;
	ep = ep_get(scratch->pkt.dst.addr);
	/* from outside, packets are delivered only into pods that have a host side */
	if (!ep_is_pod(ep) || (where != TW_IN_POD && !ep->ifindex))
		return where == TW_AT_UPLINK
			       ? TW_PASS_FOREIGN
			       : device_receives(skb, &scratch->pkt, where == TW_IN_POD);
	rc = where == TW_AT_UPLINK ? uplink_check(skb, &scratch->pkt) : TW_GO_ON;
	if (rc)
		return rc;
	rc = pod_receives(skb, scratch, &conn, cfg);
	return rc ? rc : translated(skb, &scratch->pkt);
}

/* pod's eth0 → [host side of its veth, ingress] */
int tw_host_from(struct __sk_buff *skb)
{
	struct tw_scratch *scratch = scratch_get();
	struct tw_conn conn = {};
	int rc;

	if (!scratch)
		return no_scratch();
	conn.names = &scratch->names;
	rc = from_pod(skb, scratch, &conn, 0);
	if (!rc)
		rc = deliver_from_host_side(skb, &scratch->pkt);
	/* a packet that leaves the node may be lost, and then it comes again */
	if (rc == TW_PASS_PEER && scratch->names.over && !scratch->names.hairpin)
		ending_forget(&scratch->pkt, &scratch->names);
	return finish(scratch, rc);
}

/* the host's stack → [host side of a pod's veth, egress] → pod's eth0 */
int tw_host_to(struct __sk_buff *skb)
{
	struct tw_scratch *scratch = scratch_get();
	int rc;

	if (!scratch)
		return no_scratch();
	rc = towards_pod(skb, scratch, TW_AT_HOST_SIDE);
	return finish(scratch, rc ? rc : TW_PASS_STACK);
}

/* the network → [uplink, ingress] */
int tw_uplink_in(struct __sk_buff *skb)
{
	struct tw_scratch *scratch = scratch_get();
	int rc;

	if (!scratch)
		return no_scratch();
	rc = towards_pod(skb, scratch, TW_AT_UPLINK);
	return finish(scratch, rc ? rc : deliver_inwards(skb, &scratch->pkt));
}

/* Did one of our programs redirect the packet to this device? Its mark ends here. */
static __always_inline bool redirected(struct __sk_buff *skb)
{
	if (skb->mark != TW_MARK_REDIRECTED)
		return 0;
	skb->mark = 0;
	return 1;
}

/* the pod's stack → [pod's eth0, egress, in the pod's namespace] */
int tw_pod_out(struct __sk_buff *skb)
{
	struct tw_scratch *scratch = scratch_get();
	struct tw_conn conn = {};
	int rc;

	if (!scratch)
		return no_scratch();
	conn.names = &scratch->names;
	scratch->names.redirected = redirected(skb);
	rc = from_pod(skb, scratch, &conn, 1);
	if (!rc && scratch->names.hairpin)
		rc = deliver_to_self(skb, &scratch->pkt);
	else if (!rc)
		rc = scratch->names.choice.backend || scratch->names.moved
			     ? deliver_next_hop(skb, &scratch->pkt)
			     : TW_PASS_STACK;
	return finish(scratch, rc);
}

/* the network → [pod's eth0, ingress, in the pod's namespace] → the pod's stack */
int tw_pod_in(struct __sk_buff *skb)
{
	struct tw_scratch *scratch = scratch_get();
	int rc;

	if (!scratch)
		return no_scratch();
	if (redirected(skb)) {
		/* no mark crosses a namespace: this is our own answer, or a hairpin */
		scratch->pkt.action = TC_ACT_UNSPEC;
		return finish(scratch, TW_PASS_REDIRECTED);
	}
	/* the agent's socket is in the pod's namespace, too */
	if (went_around(skb))
		return finish(scratch, probe_is(skb) ? TW_DROP_PROBE : TW_DROP_SPOOFED);
	rc = towards_pod(skb, scratch, TW_IN_POD);
	return finish(scratch, rc ? rc : TW_PASS_STACK);
}
