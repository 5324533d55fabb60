/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include <stdio.h>
#include <string.h>

#define CONTAINER_ID_LONGEST 200
#define STATUS_DIGITS 3

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The first place in [at, end) that is not white space. */
static const char *skip_space(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	return at;
}

bool parse_version(const char *json, size_t size, char version[VERSION_SIZE])
{
	static const char key[] = "\"cniVersion\"";
	const char *end = json + size;
	const char *at = memmem(json, size, key, sizeof(key) - 1);
	size_t length = 0;

	if (!at)
		return false;
	at = skip_space(at + sizeof(key) - 1, end);
	if (at == end || *at != ':')
		return false;
	at = skip_space(at + 1, end);
	if (at == end || *at != '"')
		return false;
	for (at++; at < end && (is_digit(*at) || *at == '.'); at++) {
		if (length == VERSION_SIZE - 1)
			return false;
		version[length++] = *at;
	}
	version[length] = '\0';
	return length > 0 && at < end && *at == '"';
}

bool parse_answer(const char *bytes, size_t size, struct answer *answer)
{
	size_t digits = 0;
	int status = 0;

	while (digits < size && digits < STATUS_DIGITS && is_digit(bytes[digits]))
		status = status * 10 + (bytes[digits++] - '0');
	if (digits == 0 || digits == size || bytes[digits] != '\n' || status > 255)
		return false;
	answer->status = status;
	answer->body = bytes + digits + 1;
	answer->body_size = size - digits - 1;
	return true;
}

bool container_id_is_safe(const char *id)
{
	size_t length = 0;

	/* Source: containernetworking/cni SPEC.md, CNI_CONTAINERID. */
	for (; id[length]; length++) {
		bool inner =
			length > 0 && (id[length] == '_' || id[length] == '.' || id[length] == '-');

		if (length == CONTAINER_ID_LONGEST || !(is_alnum(id[length]) || inner))
			return false;
	}
	return length > 0;
}

void json_escape(const char *text, char *out, size_t out_size)
{
	size_t used = 0;

	/* 6 bytes is the longest escape, one more is the end. */
	for (; *text && used + 7 <= out_size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			out[used++] = '\\';
			out[used++] = (char)c;
		} else if (c < 0x20 || c >= 0x7f) {
			used += (size_t)snprintf(out + used, 7, "\\u%04x", (unsigned int)c);
		} else {
			out[used++] = (char)c;
		}
	}
	out[used] = '\0';
}
