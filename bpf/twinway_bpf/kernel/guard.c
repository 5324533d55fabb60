/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard at the device of a pod under a policy. It complements policy at sockets, and judges new
 * connections and packets without a matching socket.
 *
 * TCP: see guard_tcp.h. Every other packet is judged by itself, in its own direction. If that direction is
 * denied, the packet must answer one that passed (udp.h).
 *
 *     host side of a veth: tw_guard_to (egress), tw_guard_from (ingress); else the pod's own device
 *     the pod's loopback: tw_guard_lo (ingress), tw_guard_self (egress)
 */
#include "around.h"
#include "device.h"
#include "guard_error.h"
#include "guard_established.h"
#include "guard_fragment.h"
#include "guard_lo.h"
#include "guard_tcp.h"
#include "link.h"

static __always_inline int guard_judge(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_view *view, bool out)
{
	if (pkt->proto == PROTO_TCP)
		return guard_segment(skb, pkt, view, out);
	if (pkt->icmp == TW_ICMP_ERROR)
		return guard_error(skb, pkt, view, out);
	return udp_check(view, pkt->proto, out);
}

static __always_inline int guard_check(struct __sk_buff *skb, struct tw_pkt *pkt, bool out)
{
	struct tw_cfg *cfg = cfg_get();
	struct tw_view view = {};
	int rc = parse(skb, pkt);

	if (!cfg)
		return TW_DROP_NO_ENTRY;
	view.rev = cfg->rev;
	if (out)
		rc = link_from_pod(skb, pkt, rc);
	/* it cannot be judged, and this pod is under a policy */
	if (rc == TW_PASS_NOT_IP && skb->protocol != be16(ETH_ARP))
		return TW_DROP_NOT_IP;
	if (rc)
		return rc;
	if (out) {
		rc = source_check(skb, pkt);
		if (rc)
			return rc;
	}
	view_set(&view, pkt, out);
	if (!out && view.policy.kind != TW_EP_POD)
		return device_receives(skb, pkt, device_is_pods(skb));
	if (!view.policy.set)
		return TW_PASS_STACK;
	if (!out && view.node)
		view.node = device_node_sends(skb, pkt->dst.addr, device_is_pods(skb));
	udp_begin();
	if (pkt->frag != TW_FRAG_LATER)
		rc = guard_judge(skb, pkt, &view, out);
	if (!rc && pkt->frag)
		rc = guard_fragment(skb, pkt, &view, out);
	if (rc)
		return rc;
	udp_commit();
	return TW_PASS_STACK;
}

/* The one exit. Passed packets are not counted, because nearly all pass. */
static __always_inline int guard_ends(int reason)
{
	if (reason < TW_FIRST_DROPPED)
		return TC_ACT_UNSPEC;
	verdict_count(reason);
	return TC_ACT_SHOT;
}

static __always_inline int guard_finish(struct __sk_buff *skb, bool out)
{
	struct tw_pkt pkt = {};

	if (!out && went_around(skb))
		return guard_ends(TW_DROP_SPOOFED);
	if (guard_goes_on(skb, out))
		return TC_ACT_UNSPEC;
	return guard_ends(guard_check(skb, &pkt, out));
}

/* pod → [its device] */
int tw_guard_from(struct __sk_buff *skb)
{
	return guard_finish(skb, 1);
}

/* [its device] → pod */
int tw_guard_to(struct __sk_buff *skb)
{
	return guard_finish(skb, 0);
}

/* pod → [lo, egress] → pod */
int tw_guard_self(struct __sk_buff *skb)
{
	return guard_ends(guard_own(skb));
}

/* pod → [lo, ingress] → pod */
int tw_guard_lo(struct __sk_buff *skb)
{
	return guard_ends(guard_loopback(skb));
}
