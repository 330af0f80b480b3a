// SPDX-License-Identifier: GPL-2.0-or-later
/* Where to listen, as users write it; see endpoint.h. */
#include "endpoint.h"

#include "util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static int parse_port(const char *text, in_port_t *port)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	number = strtoul(text, &end, 10);
	if (*end || !number || number > UINT16_MAX)
		return -EINVAL;
	*port = htons((uint16_t)number);
	return 0;
}

/* "[...]" is IPv6. */
static int parse_address(char *text, in_port_t port, struct endpoint *endpoint)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port };
	size_t len = strlen(text);

	if (!len || strcmp(text, "localhost") == 0)
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (text[0] == '[') {
		if (text[len - 1] != ']')
			return -EINVAL;
		text[len - 1] = '\0';
		if (inet_pton(AF_INET6, text + 1, &v6.sin6_addr) != 1)
			return -EINVAL;
		memcpy(&endpoint->address, &v6, sizeof(v6));
		endpoint->size = sizeof(v6);
		return 0;
	} else if (inet_pton(AF_INET, text, &v4.sin_addr) != 1)
		return -EINVAL;
	memcpy(&endpoint->address, &v4, sizeof(v4));
	endpoint->size = sizeof(v4);
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *endpoint)
{
	cleanup_free char *address = strdup(text);
	struct endpoint parsed = { 0 };
	char *colon;
	in_port_t port;
	int r;

	if (!address)
		return -ENOMEM;
	colon = strrchr(address, ':');
	r = parse_port(colon ? colon + 1 : address, &port);
	if (r < 0)
		return r;
	*(colon ? colon : address) = '\0';
	r = parse_address(address, port, &parsed);
	if (r == 0)
		*endpoint = parsed;
	return r;
}

/* Of the one before, connections may still linger. */
int endpoint_bind(const struct endpoint *endpoint)
{
	const struct sockaddr *address =
		(const struct sockaddr *)&endpoint->address;
	cleanup_close int fd = -1;
	int on = 1;

	fd = socket(address->sa_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (address->sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, address, endpoint->size) < 0)
		return -errno;
	return steal_fd(&fd);
}
