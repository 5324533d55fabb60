/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a Service's address to one backend: the same for packets and for sockets. */
#ifndef TW_SERVICE_H
#define TW_SERVICE_H

#include "net.h"
#include "verdict.h"

/* A frontend may change to another set while it is read. Then its old slots are gone, and it is read again. */
#define SERVICE_TRIES 2

struct tw_choice {
	__u64 backend; /* id; 0: no Service is concerned */
	struct tw_end to;
	__u32 count; /* backends to choose from */
};

/*
 * Choose one backend of a set; not 0: the set has gone meanwhile. The memory of a removed element may belong to
 * another key by now (policy_of()), so both elements are looked up again after they were read.
 */
static __always_inline int service_pick(__u64 set, __u32 slot, struct tw_choice *out)
{
	struct tw_slot_key key = {.set = set, .slot = slot};
	const volatile struct tw_be *be;
	const volatile __u64 *id;

	id = tw_slot_v1.lookup(&key);
	if (!id)
		return TW_DROP_RACE;
	out->backend = *id;
	be = tw_be_v1.lookup(&out->backend);
	if (!be)
		return TW_DROP_RACE;
	addr_copy(out->to.addr, (const __be32 *)be->addr);
	out->to.port = be->port;
	id = tw_slot_v1.lookup(&key);
	if (!id || *id != out->backend)
		return TW_DROP_RACE;
	be = tw_be_v1.lookup(&out->backend);
	if (!be || be->port != out->to.port || !addr_equal((const __be32 *)be->addr, out->to.addr))
		return TW_DROP_RACE;
	return TW_GO_ON;
}

/* Is this the address of some Service, whatever the port? */
static __always_inline bool service_address(const __be32 *addr)
{
	struct tw_fe_key key = {};

	addr_copy(key.addr, addr);
	return tw_fe_v1.lookup(&key) != 0;
}

/* As service_choose(); TW_DROP_RACE: ask again. */
static __always_inline int service_try(const struct tw_fe_key *key, __u32 random,
				       struct tw_choice *out)
{
	const volatile struct tw_fe *fe;
	union {
		__u64 word; /* verifier: both are compared at once below */
		struct {
			__u32 count, flags;
		};
	} size;
	__u64 set;

	out->backend = 0;
	fe = tw_fe_v1.lookup((struct tw_fe_key *)key);
	if (!fe)
		return service_address(key->addr) ? TW_REJECT_NO_PORT : TW_GO_ON;
	set = fe->set;
	size.word = *(const volatile __u64 *)&fe->count;
	/* a replaced element may belong to another frontend by now: policy_of() */
	if (tw_fe_v1.lookup((struct tw_fe_key *)key) != fe || fe->set != set ||
	    *(const volatile __u64 *)&fe->count != size.word)
		return TW_DROP_RACE;
	if (!size.count)
		return size.flags & TW_FE_DROPS ? TW_DROP_NOT_LOCAL : TW_REJECT_NO_BACKEND;
	out->count = size.count;
	return service_pick(set, random % size.count, out);
}

/*
 * Choose a backend for the address that the client wrote. TW_GO_ON with out->backend 0: it belongs to no
 * Service. A reason: the Service has no backend, or not this port.
 */
static __always_inline int service_choose(const struct tw_fe_key *key, __u32 random,
					  struct tw_choice *out)
{
	int rc = TW_DROP_RACE;

#pragma unroll
	for (int i = 0; i < SERVICE_TRIES && rc == TW_DROP_RACE; i++)
		rc = service_try(key, random, out);
	return rc;
}

#endif
