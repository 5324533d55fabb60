/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asks the kernel which TCP connections a pod has, from the place where the pod's packets are met.
 */
#ifndef TW_SK_KEPT_H
#define TW_SK_KEPT_H

#include "sk_tcp.h"

#define STATE_SYN_SENT 2 /* BPF_TCP_SYN_SENT */
#define STATE_REQUEST 12 /* BPF_TCP_NEW_SYN_RECV: a request socket, which answers a SYN */

/* Did policy allow the connection of this socket when it was last judged? */
static __always_inline bool sk_has_begun(struct bpf_sock *sk)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	struct tw_skpol *known;

	if (given)
		return given->begun;
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	return known && known->verdict >> 32 == TW_ALLOW;
}

/*
 * Does this socket stand for an allowed connection? A listener does not. A connecting socket does if policy
 * allowed it; with `strict` that is asked of every socket. Request sockets and TIME_WAIT always do, because
 * their connections were allowed before.
 */
static __always_inline bool sk_keeps(struct bpf_sock *sk, bool strict)
{
	__u32 state = sk->state;

	if (state == STATE_LISTEN)
		return 0;
	if (state != STATE_SYN_SENT && !strict)
		return 1;
	sk = bpf_sk_fullsock(sk);
	return !sk || sk_has_begun(sk);
}

/* `netns`: from tw_ep. A socket that is bound to a device of another namespace is not found. */
static __always_inline bool sk_kept(struct __sk_buff *skb, const struct tw_end *local,
				    const struct tw_end *remote, __s32 netns, bool strict)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool kept;

	if (!remote->addr[0] && !remote->addr[1] && remote->addr[2] == be32(0x0000ffff)) {
		tuple.ipv4.saddr = remote->addr[3];
		tuple.ipv4.daddr = local->addr[3];
		tuple.ipv4.sport = remote->port;
		tuple.ipv4.dport = local->port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), (__s64)netns, 0);
	} else {
		addr_copy(tuple.ipv6.saddr, remote->addr);
		addr_copy(tuple.ipv6.daddr, local->addr);
		tuple.ipv6.sport = remote->port;
		tuple.ipv6.dport = local->port;
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), (__s64)netns, 0);
	}
	if (!sk)
		return 0;
	kept = sk_keeps(sk, strict);
	bpf_sk_release(sk);
	return kept;
}

#endif
