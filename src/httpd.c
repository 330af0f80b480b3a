// SPDX-License-Identifier: GPL-2.0-or-later
/* What is used of libmicrohttpd; see httpd.h. */
#include "httpd.h"

#include "util.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* The ABI that the header is of. */
#define SONAME "libmicrohttpd.so.12"

static const struct {
	const char *name;
	size_t offset; /* of the pointer to it */
} symbols[] = {
	{ "MHD_start_daemon", offsetof(struct httpd, start_daemon) },
	{ "MHD_stop_daemon", offsetof(struct httpd, stop_daemon) },
	{ "MHD_create_response_from_buffer",
	  offsetof(struct httpd, create_response) },
	{ "MHD_add_response_header",
	  offsetof(struct httpd, add_response_header) },
	{ "MHD_queue_response", offsetof(struct httpd, queue_response) },
	{ "MHD_destroy_response", offsetof(struct httpd, destroy_response) },
};

/* Whether all of them are there. */
static bool find_symbols(struct httpd *httpd)
{
	void *symbol;

	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
		symbol = dlsym(httpd->library, symbols[i].name);
		if (!symbol)
			return false;
		memcpy((char *)httpd + symbols[i].offset, &symbol,
		       sizeof(symbol));
	}
	return true;
}

int httpd_load(struct httpd **out, const char **why)
{
	struct httpd *httpd;

	httpd = calloc(1, sizeof(*httpd));
	if (!httpd)
		return -ENOMEM;
	httpd->library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (!httpd->library || !find_symbols(httpd)) {
		*why = dlerror();
		httpd_free(httpd);
		return -ELIBACC;
	}
	*out = httpd;
	return 0;
}

struct httpd *httpd_free(struct httpd *httpd)
{
	if (!httpd)
		return NULL;
	if (httpd->library)
		dlclose(httpd->library);
	free(httpd);
	return NULL;
}
