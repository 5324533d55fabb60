/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bytes of a packet. What is linear, as headers nearly always are, is read and written in
 * place; a look at anything else is a copy, and a write makes it linear first.
 */
#ifndef TW_PACKET_H
#define TW_PACKET_H

#include "net.h"

/* More than headers can take (parse.h). verifier: and less than what may be added to a pointer. */
#define PACKET_HEADERS 0x7fff

static __always_inline void *packet_data(const struct __sk_buff *skb)
{
	void *data;

	/* verifier: opaque, so that LLVM keeps it a pointer, and compares it as one */
	asm volatile("%0 = *(u32 *)(%1 + %2)"
		     : "=r"(data)
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data)));
	return data;
}

/* `len` bytes at `at`; NULL where they are not linear. */
static __always_inline void *packet_peek(struct __sk_buff *skb, __u32 at, __u32 len)
{
	void *place = packet_data(skb) + (at & PACKET_HEADERS);

	return place + len <= (void *)(long)skb->data_end ? place : 0;
}

/* `len` bytes at `at`, to be written to; NULL where the packet ends before, or memory has. */
static __always_inline void *packet_at(struct __sk_buff *skb, __u32 at, __u32 len)
{
	void *place = packet_peek(skb, at, len);

	if (place)
		return place;
	return bpf_skb_pull_data(skb, at + len) ? 0 : packet_peek(skb, at, len);
}

/* Copy what `into` has room for; not 0: the packet ends before. */
#define packet_get(skb, at, into)                                                 \
	({                                                                        \
		typeof(into) place_ = packet_peek(skb, at, sizeof(*(into)));      \
		int rc_ = 0;                                                      \
                                                                                  \
		if (place_)                                                       \
			*(into) = *place_;                                        \
		else                                                              \
			rc_ = bpf_skb_load_bytes(skb, at, into, sizeof(*(into))); \
		rc_;                                                              \
	})

#endif
