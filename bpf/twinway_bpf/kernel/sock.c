/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path: a Service's address becomes its backend's once, when a socket connects or an
 * unconnected one sends, and is shown again where a program asks who its peer is.
 *
 * A v6 socket may speak IPv4: its mapped addresses need nothing special, keys are always 16 bytes.
 * What a socket was given is kept on the socket, and so ends with it.
 */
#include "sk_names.h"
#include "tw_features.h"

#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define ENOBUFS 105
#define ECONNREFUSED 111

/* Never anybody's: a connect to it asks the hook whether it is alive, and is refused. */
#define PROBE_ADDR 0xa9fe2a02 /* 169.254.42.2 */
#define PROBE_PORT 29815

/* As since 5.18; older headers do not know its number. Source: b44123b4a3dc ("bpf: Add cgroup helpers"). */
static int (*set_retval)(int) = (void *)187;

/* user_port holds a be16 in the low half of its 32 bits, whatever the UAPI's comment says. */
static __always_inline void end_from4(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	addr_map4(end->addr, ctx->user_ip4);
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_from6(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	end->addr[0] = ctx->user_ip6[0];
	end->addr[1] = ctx->user_ip6[1];
	end->addr[2] = ctx->user_ip6[2];
	end->addr[3] = ctx->user_ip6[3];
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_to4(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip4 = end->addr[3];
	ctx->user_port = end->port;
}

static __always_inline void end_to6(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip6[0] = end->addr[0];
	ctx->user_ip6[1] = end->addr[1];
	ctx->user_ip6[2] = end->addr[2];
	ctx->user_ip6[3] = end->addr[3];
	ctx->user_port = end->port;
}

/*
 * What becomes of the call; `taken` is what it fails with where answers could not be told apart. A
 * Service that refuses does as a closed port. Kernels without set_retval can only say EPERM.
 */
static __always_inline int sock_finish(int reason, int taken)
{
	if (!reason)
		return 1;
	verdict_count(reason);
	if (reason < TW_FIRST_ANSWERED)
		return 1;
	if (features() & TW_HAS_SET_RETVAL) {
		if (reason == TW_REJECT_TAKEN)
			set_retval(-taken);
		else if (reason == TW_REJECT_NO_ROOM)
			set_retval(-ENOBUFS);
		else
			set_retval(-ECONNREFUSED);
	}
	return 0;
}

/* Are this socket's Services served here, or on the path of its packets? */
static __always_inline bool sock_is_ours(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	return (cfg->flags & TW_CFG_PODS_AT_SOCKET) || bpf_get_netns_cookie(ctx) == cfg->host_netns;
}

static __always_inline bool sock_is_probe(struct bpf_sock_addr *ctx, const struct tw_end *dst)
{
	struct tw_notes *notes;

	if (dst->addr[3] != be32(PROBE_ADDR) || dst->port != be16(PROBE_PORT))
		return 0;
	notes = notes_get();
	if (notes) {
		notes->probe_netns = bpf_get_netns_cookie(ctx);
		notes->probes += 1;
	}
	return 1;
}

/* verifier: each field is loaded from the socket itself, before there is a choice of which */
#define SOCK_LOAD(end, sk, ip4, ip6, mapped)          \
	do {                                          \
		__be32 four = (sk)->ip4;              \
                                                      \
		asm volatile("" : "+r"(four));        \
		(end)->addr[0] = (sk)->ip6[0];        \
		(end)->addr[1] = (sk)->ip6[1];        \
		(end)->addr[2] = (sk)->ip6[2];        \
		(end)->addr[3] = (sk)->ip6[3];        \
		asm volatile("" : : : "memory");      \
		if (mapped)                           \
			addr_map4((end)->addr, four); \
	} while (0)

/* Is a socket connected to `to`? */
static __always_inline bool sock_is_connected_to(struct bpf_sock *sk, const struct tw_end *to)
{
	struct tw_end end = {};

	end.port = (__be16)sk->dst_port;
	SOCK_LOAD(&end, sk, dst_ip4, dst_ip6, addr_is_mapped(to->addr));
	return end_equal(&end, to);
}

/* The name that a connected socket's peer has for its program. */
static __always_inline bool sock_peer_is_called(struct bpf_sock *sk, const struct tw_end *to,
						const struct tw_end *name)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);

	if (given && given->backend && end_equal(&given->to, to))
		return end_equal(&given->vip, name);
	return end_equal(to, name);
}

/* The socket that has the connection from this socket's own address and port to `to`; to be released. */
static __always_inline struct bpf_sock *sock_beside(struct bpf_sock_addr *ctx,
						    const struct tw_end *to, __u32 protocol)
{
	struct bpf_sock_tuple tuple = {};
	bool mapped = addr_is_mapped(to->addr);
	__be16 port = be16((__u16)ctx->sk->src_port);
	struct tw_end own = {};
	__u32 size = sizeof(tuple.ipv6);

	SOCK_LOAD(&own, ctx->sk, src_ip4, src_ip6, mapped);
	if (mapped) {
		tuple.ipv4.saddr = to->addr[3];
		tuple.ipv4.daddr = own.addr[3];
		tuple.ipv4.sport = to->port;
		tuple.ipv4.dport = port;
		size = sizeof(tuple.ipv4);
	} else {
		addr_copy(tuple.ipv6.saddr, to->addr);
		addr_copy(tuple.ipv6.daddr, own.addr);
		tuple.ipv6.sport = to->port;
		tuple.ipv6.dport = port;
	}
	if (protocol == PROTO_UDP)
		return bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/*
 * Is there another socket, on the same port, whose connection to `to` could not be told from this
 * one's? TCP's could not be at all. Missing: sockets that were bound to no address, whose own is
 * not known yet.
 */
static __always_inline bool sock_is_shared(struct bpf_sock_addr *ctx, const struct tw_end *to,
					   const struct tw_end *name)
{
	struct bpf_sock *other;
	bool shared = 0;

	if (!ctx->sk->src_port)
		return 0;
	other = sock_beside(ctx, to, ctx->protocol);
	if (!other)
		return 0;
	if (other != ctx->sk && sock_is_connected_to(other, to))
		shared = ctx->protocol != PROTO_UDP || !sock_peer_is_called(other, to, name);
	bpf_sk_release(other);
	return shared;
}

/* What a call is about, beside the address that the program wrote. */
struct sock_call {
	struct bpf_sock_addr *ctx;
	struct tw_peers *peers; /* of a UDP socket; NULL: it asked no Service yet */
	__u32 now;
	bool connects; /* else it sends, and may be connected */
};

/* May the program speak to `to` by this name, so that answers can bear it? */
static __always_inline bool sock_may_call(const struct sock_call *call, const struct tw_end *to,
					  const struct tw_end *name)
{
	struct bpf_sock *sk = call->ctx->sk;

	if (!peer_may_be(call->peers, to, name, call->now))
		return 0;
	if (call->connects)
		return !sock_is_shared(call->ctx, to, name);
	return !sk->dst_port || !sock_is_connected_to(sk, to) || sock_peer_is_called(sk, to, name);
}

#define CHOICES 4

/* A backend for what the program wrote: any, or the next one where the socket cannot have that. */
static __always_inline int sock_choose(const struct sock_call *call, const struct tw_end *dst,
				       struct tw_choice *choice)
{
	__u32 random = bpf_get_prandom_u32() >> 1;
	struct tw_fe_key key = {};
	int rc = TW_DROP_RACE;

	addr_copy(key.addr, dst->addr);
	key.port = dst->port;
	key.proto = call->ctx->protocol == PROTO_MPTCP ? PROTO_TCP : call->ctx->protocol;
	for (int i = 0; i < CHOICES; i++) {
		rc = service_try(&key, random + i, choice);
		if (rc == TW_DROP_RACE)
			continue;
		if (rc || !choice->backend || sock_may_call(call, &choice->to, dst))
			return rc;
		rc = TW_REJECT_TAKEN;
		if (i + 1 >= choice->count)
			return rc;
	}
	return rc;
}

/*
 * Where policy is, that a TCP socket connected is for its connection to be judged by. What was said
 * of an earlier one of it is over.
 */
static __always_inline bool sock_is_noted(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	if (!(cfg->flags & TW_CFG_POLICY_AT_SOCKET) ||
	    (ctx->protocol != PROTO_TCP && ctx->protocol != PROTO_MPTCP))
		return 0;
	tw_skpol_v3.sk_storage_delete(ctx->sk);
	return 1;
}

/* A datagram socket asks an address by its own name, which it knows by another, or may come to. */
static __always_inline int sock_direct(struct sock_call *call, const struct tw_end *dst)
{
	struct bpf_sock *sk = call->ctx->sk;
	struct tw_choice itself = {};

	/* the kernel itself names the peer when a v6 socket that is connected to IPv4 sends (udpv6_sendmsg) */
	if (!call->connects && sk->family == FAMILY_INET6 && addr_is_mapped(dst->addr) &&
	    sk->dst_port && sock_is_connected_to(sk, dst))
		return TW_SOCKET_PASSED;
	if (!sock_may_call(call, dst, dst))
		return TW_REJECT_TAKEN;
	end_copy(&itself.to, dst);
	if (call->connects) {
		peer_rename(call->peers, dst, &itself);
		return TW_SOCKET_PASSED;
	}
	if ((!call->peers || !peer_find(call->peers, dst)) && !tw_udpbe_v1.lookup(&itself.to))
		return TW_SOCKET_PASSED;
	if (!call->peers)
		call->peers =
			tw_skpeer_v3.sk_storage_get(call->ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!call->peers || peer_remember(call->peers, dst, &itself, call->now))
		return TW_REJECT_NO_ROOM;
	return TW_SOCKET_PASSED;
}

/* What connect() asks for; dst becomes where it goes. Answers why. */
static __always_inline int sock_connect(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct sock_call call = {.ctx = ctx, .connects = 1};
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_sk *given;
	bool noted;
	int rc;

	/* whatever an earlier connect of this socket was given is over, also when this one fails */
	tw_sk_v2.sk_storage_delete(ctx->sk);
	if (!cfg)
		return TW_GO_ON;
	if (sock_is_probe(ctx, dst))
		return TW_REJECT_NO_PORT;
	if (!sock_is_ours(ctx, cfg))
		return TW_GO_ON;
	if (ctx->protocol == PROTO_UDP) {
		call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
		call.now = ct_now() + 1;
	}
	rc = sock_choose(&call, dst, &choice);
	if (rc)
		return rc;
	noted = sock_is_noted(ctx, cfg);
	if (!choice.backend && !noted)
		return ctx->protocol == PROTO_UDP ? sock_direct(&call, dst) : TW_SOCKET_PASSED;
	given = tw_sk_v2.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!given)
		return TW_REJECT_NO_ROOM;
	if (!choice.backend)
		return TW_SOCKET_PASSED;
	peer_rename(call.peers, dst, &choice);
	end_copy(&given->vip, dst);
	end_copy(&given->to, &choice.to);
	given->backend = choice.backend;
	end_copy(dst, &choice.to);
	return TW_SOCKET_SERVED;
}

/* What sendto() and sendmsg() name as destination; dst becomes where it goes. Answers why. */
static __always_inline int sock_sendmsg(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct sock_call call = {.ctx = ctx};
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_peer *known;
	int rc;

	if (!cfg || !sock_is_ours(ctx, cfg))
		return TW_GO_ON;
	call.now = ct_now() + 1;
	call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
	known = call.peers ? peer_of_service(call.peers, dst) : 0;
	if (known) {
		peer_ask(known, call.now);
		end_copy(dst, &known->to);
		return TW_GO_ON;
	}
	rc = sock_choose(&call, dst, &choice);
	if (rc)
		return rc;
	if (!choice.backend)
		return sock_direct(&call, dst);
	if (!call.peers)
		call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!call.peers || peer_remember(call.peers, dst, &choice, call.now))
		return TW_REJECT_NO_ROOM;
	end_copy(dst, &choice.to);
	return TW_SOCKET_SERVED;
}

/* Who a datagram came from, as its reader knows them. */
static __always_inline void sock_recvmsg(struct bpf_sock_addr *ctx, struct tw_end *src)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(ctx->sk, 0, 0);
	struct tw_peers *peers;
	struct tw_peer *peer;

	/* a socket may have been disconnected since (AF_UNSPEC), which no hook sees */
	if (given && given->backend && ctx->sk->dst_port && end_equal(&given->to, src)) {
		end_copy(src, &given->vip);
		return;
	}
	peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
	if (!peers)
		return;
	peer = peer_find(peers, src);
	if (!peer)
		return;
	if (peer->waiting)
		peer->waiting -= 1;
	end_copy(src, &peer->vip);
}

static __always_inline void sock_name_peer(struct bpf_sock *sk, struct tw_end *peer)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);

	if (given && given->backend && end_equal(&given->to, peer))
		end_copy(peer, &given->vip);
}

/* Who getpeername() should name. What an MPTCP socket was given is on its first TCP socket. */
static __always_inline void sock_getpeername(struct bpf_sock_addr *ctx, struct tw_end *peer)
{
	struct bpf_sock *first;

	if (ctx->protocol != PROTO_MPTCP) {
		sock_name_peer(ctx->sk, peer);
		return;
	}
	first = sock_beside(ctx, peer, PROTO_TCP);
	if (!first)
		return;
	sock_name_peer(first, peer);
	bpf_sk_release(first);
}

int tw_connect4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to4(ctx, &end);
	return sock_finish(rc, EADDRNOTAVAIL);
}

int tw_connect6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to6(ctx, &end);
	return sock_finish(rc, EADDRNOTAVAIL);
}

int tw_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to4(ctx, &end);
	return sock_finish(rc, EADDRINUSE);
}

int tw_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to6(ctx, &end);
	return sock_finish(rc, EADDRINUSE);
}

int tw_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from4(ctx, &end);
	sock_recvmsg(ctx, &end);
	end_to4(ctx, &end);
	return 1;
}

int tw_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from6(ctx, &end);
	sock_recvmsg(ctx, &end);
	end_to6(ctx, &end);
	return 1;
}

int tw_getpeername4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from4(ctx, &end);
	sock_getpeername(ctx, &end);
	end_to4(ctx, &end);
	return 1;
}

int tw_getpeername6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from6(ctx, &end);
	sock_getpeername(ctx, &end);
	end_to6(ctx, &end);
	return 1;
}
