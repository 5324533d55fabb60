/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what the plugin reads: `make fuzz ROUNDS=N SEED=S`, under the address and undefined behaviour
 * sanitizers. A round takes a sample, changes some bytes of it, and gives an exact copy to each parser:
 * one byte too far is then outside of what was allocated.
 */
#include "parse.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 256
#define CHANGES 6

static const char *const samples[] = {
	"{\"cniVersion\":\"1.1.0\",\"name\":\"x\"}",
	"{ \"name\" : \"x\" , \"cniVersion\"\t:\n\"0.4.0\" }",
	"{\"cniVersion\":\"1.1.0.1.1.0.1.1.0.1.1.0\"}",
	"{\"a\":\"\\\"cniVersion\\\":\\\"1\\\"\",\"cniVersion\":\"1.0.0\"}",
	"0\n{\"cniVersion\":\"1.1.0\"}",
	"255\n",
	"999\n{}",
	"0a1b2c3d4e5f",
	"../../etc/passwd",
	"a\x01\x7f\xff\"\\\n",
};

static uint64_t state;

/* The next number of splitmix64. */
static uint64_t next(void)
{
	uint64_t z = (state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Replace, insert or remove a byte somewhere; the new size. */
static size_t change(char *bytes, size_t size)
{
	static const char likely[] = "\"\\:{}.0129 \n\r\t\0-_/";
	uint64_t chance = next();
	size_t at = size ? (size_t)(next() % size) : 0;
	char byte = chance & 8 ? (char)next() : likely[next() % sizeof(likely)];

	if (chance % 3 == 0 && size < LONGEST) {
		memmove(bytes + at + 1, bytes + at, size - at);
		bytes[at] = byte;
		return size + 1;
	}
	if (size == 0)
		return 0;
	if (chance % 3 == 1) {
		memmove(bytes + at, bytes + at + 1, size - at - 1);
		return size - 1;
	}
	bytes[at] = byte;
	return size;
}

static void hold(bool claim, const char *what)
{
	if (claim)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void try_version(const char *bytes, size_t size)
{
	char version[VERSION_SIZE];

	if (!parse_version(bytes, size, version))
		return;
	hold(memchr(version, '\0', sizeof(version)), "a version ends");
	hold(strspn(version, "0123456789.") == strlen(version), "a version is digits and dots");
}

static void try_answer(const char *bytes, size_t size)
{
	struct answer answer;

	if (!parse_answer(bytes, size, &answer))
		return;
	hold(answer.status >= 0 && answer.status <= 255, "a status is one byte");
	hold(answer.body + answer.body_size == bytes + size, "the body is the rest");
}

/* `text` ends with a zero byte. */
static void try_text(const char *text, size_t room)
{
	char *out = malloc(room);

	hold(out, "there is memory");
	json_escape(text, out, room);
	hold(memchr(out, '\0', room), "an escaped text ends");
	for (const char *at = out; *at; at++)
		hold(*at >= 0x20 && *at < 0x7f, "an escaped text can be shown");
	free(out);
	if (container_id_is_safe(text))
		hold(!strchr(text, '/') && text[0] != '.', "a safe id is a file's name");
}

static void once(const char *bytes, size_t size)
{
	char *exact = malloc(size ? size : 1);
	char *text = calloc(size + 1, 1);

	hold(exact && text, "there is memory");
	memcpy(exact, bytes, size);
	memcpy(text, bytes, size);
	try_version(exact, size);
	try_answer(exact, size);
	try_text(text, 1 + (size_t)(next() % LONGEST));
	free(text);
	free(exact);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
	char bytes[LONGEST + 1];

	state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	for (unsigned long round = 0; round < rounds; round++) {
		const char *sample = samples[next() % (sizeof(samples) / sizeof(samples[0]))];
		size_t size = strlen(sample);

		memcpy(bytes, sample, size);
		for (uint64_t changes = next() % (CHANGES + 1); changes > 0; changes--)
			size = change(bytes, size);
		once(bytes, size);
	}
	printf("%lu rounds\n", rounds);
	return 0;
}
