/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet that arrives at a pod's own device is for that pod, even if its destination is a broadcast,
 * multicast or link-local address. The device identifies the pod then, not the packet.
 */
#ifndef TW_DEVICE_H
#define TW_DEVICE_H

#include "parse.h"
#include "policy.h"

/*
 * The key of the pod at this device in tw_ep, for packets without an address of the pod. It is no valid address
 * and contains the index of the host side or the stamp (encode.py). `stamped`: this is the pod's own device.
 */
static __always_inline void device_key(struct __sk_buff *skb, __be32 *key, bool stamped)
{
	__u32 ifindex = skb->ifindex, stamp = skb->cb[4];

	/* verifier: each is loaded from its place, none from one that depends */
	asm volatile("" : "+r"(ifindex), "+r"(stamp));
	key[0] = 0xffffffff;
	key[1] = 0xffffffff;
	key[2] = stamped ? 0 : ifindex;
	key[3] = stamped ? stamp : 0;
}

/* For a program attached at either kind of device: a pod's own device is the one that the packet came in by. */
static __always_inline bool device_is_pods(const struct __sk_buff *skb)
{
	return skb->ingress_ifindex == skb->ifindex;
}

/* A packet that parse() could not read. ARP passes; anything else cannot be judged. */
static __always_inline int device_unread(struct __sk_buff *skb, bool stamped)
{
	struct tw_pod_policy policy = {};
	__be32 key[4];

	if (skb->protocol == be16(ETH_ARP))
		return TW_PASS_NOT_IP;
	device_key(skb, key, stamped);
	policy_of(key, &policy);
	return policy.set ? TW_DROP_NOT_IP : TW_PASS_NOT_IP;
}

/*
 * Does a packet with the node's address come from the node? At a host side, the node's own packets have
 * not come in by any device. On a shared parent they have the MAC of the node's device, if that is known.
 * `pod`: the key under which tw_ep has the receiver.
 */
static __always_inline bool device_node_sends(struct __sk_buff *skb, const __be32 *pod,
					      bool stamped)
{
	struct tw_ep *ep;
	__u16 mac[3];

	if (!stamped)
		return !skb->ingress_ifindex;
	ep = ep_get(pod);
	if (!ep || !mac_known(ep->host_mac))
		return 1;
	return !bpf_skb_load_bytes(skb, __builtin_offsetof(struct eth_hdr, src), mac, 6) &&
	       mac_equal(mac, ep->host_mac);
}

/*
 * Judge a packet whose destination is no pod's address, at either driver's hook. No connection is recorded,
 * because no reply would match. Denials are counted for the device, so that the agent can name its pod.
 */
static __always_inline int device_receives(struct __sk_buff *skb, const struct tw_pkt *pkt,
					   bool stamped)
{
	struct tw_pod_policy policy = {};
	struct tw_ends ends = {};
	__u64 rule = 0;
	__be32 pod[4];

	device_key(skb, pod, stamped);
	policy_of(pod, &policy);
	if (!policy.set)
		return TW_PASS_FOREIGN;
	if (pkt->frag)
		return TW_DROP_FRAGMENT;
	if (ep_is_node(pkt->src.addr) && device_node_sends(skb, pod, stamped))
		return TW_PASS_FOREIGN;
	ends.proto = pkt->proto;
	ends.port = pkt->dst.port;
	if (policy_verdict(&policy, TW_INGRESS, pkt->src.addr, &ends, &rule) == TW_ALLOW)
		return TW_PASS_FOREIGN;
	verdict_denied(rule, pod, TW_INGRESS);
	return TW_DROP_POLICY_INGRESS;
}

#endif
