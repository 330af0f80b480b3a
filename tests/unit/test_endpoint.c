// SPDX-License-Identifier: GPL-2.0-or-later
/* Where to listen: what is read, and what is refused. */
#include "endpoint.h"

#include "unit.h"

#include <arpa/inet.h>
#include <netdb.h>

static void expect(const char *text, const char *host, const char *port)
{
	char got_host[NI_MAXHOST], got_port[NI_MAXSERV];
	struct endpoint endpoint;

	assert_int_equal(endpoint_parse(text, &endpoint), 0);
	assert_int_equal(getnameinfo((struct sockaddr *)&endpoint.address,
				     endpoint.size, got_host, sizeof(got_host),
				     got_port, sizeof(got_port),
				     NI_NUMERICHOST | NI_NUMERICSERV),
			 0);
	assert_string_equal(got_host, host);
	assert_string_equal(got_port, port);
}

/* Without an address it is the loopback's, and never all of them. */
static void test_read(void **state)
{
	expect("9100", "127.0.0.1", "9100");
	expect(":9100", "127.0.0.1", "9100");
	expect("localhost:1", "127.0.0.1", "1");
	expect("192.0.2.1:65535", "192.0.2.1", "65535");
	expect("0.0.0.0:9100", "0.0.0.0", "9100");
	expect("[::1]:9100", "::1", "9100");
	expect("[::]:9100", "::", "9100");
	expect("[2001:db8::7]:80", "2001:db8::7", "80");
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		"0",
		"65536",
		"-1",
		"+1",
		" 1",
		"9100 ",
		"port",
		"1.2.3.4",
		"1.2.3:80",
		"1.2.3.4.5:80",
		"[::1]",
		"::1:9100x",
		"::1:9100",
		"[::1:9100",
		"[::1]x:9100",
		"[]:9100",
		"host:9100",
		"*:9100",
		"127.0.0.1:",
		"99999999999999999999",
	};
	struct endpoint endpoint;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (endpoint_parse(texts[i], &endpoint) != -EINVAL)
			fail_msg("\"%s\" is no endpoint", texts[i]);
}

/* A port that somebody has is refused, and any free one is bound. */
static void test_bound(void **state)
{
	struct endpoint endpoint;
	int fd, second;

	assert_int_equal(endpoint_parse("127.0.0.1:1", &endpoint), 0);
	((struct sockaddr_in *)&endpoint.address)->sin_port = 0;
	fd = endpoint_bind(&endpoint);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&endpoint.address,
				     &endpoint.size),
			 0);
	assert_int_equal(listen(fd, 1), 0);
	second = endpoint_bind(&endpoint);
	assert_int_equal(second, -EADDRINUSE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bound),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
