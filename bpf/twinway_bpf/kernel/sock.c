/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path: a Service's address becomes its backend's once, when a socket connects or an
 * unconnected one sends, and is shown again where a program asks who its peer is.
 *
 * A v6 socket may speak IPv4: its mapped addresses need nothing special, keys are always 16 bytes.
 * What a socket was given is kept on the socket, and so ends with it.
 */
#include "sk_connect.h"
#include "sk_datagram.h"
#include "tw_features.h"

#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define ENOBUFS 105
#define ECONNREFUSED 111

/* As since 5.18; older headers do not know its number. Source: b44123b4a3dc ("bpf: Add cgroup helpers"). */
static int (*set_retval)(int) = (void *)187;

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
