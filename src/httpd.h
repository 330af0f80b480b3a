/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is used of libmicrohttpd, loaded when it is: with the TLS library that
 * it needs in turn it costs each process some 0.4 MiB, and most mounts have
 * nobody to serve metrics to.
 */
#ifndef MEMCGFS_HTTPD_H
#define MEMCGFS_HTTPD_H

#include <microhttpd.h>

/* The functions have the names that they have there, less MHD_. */
struct httpd {
	void *library;
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_create_response_from_buffer) *create_response;
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_destroy_response) *destroy_response;
};

/*
 * Loads the library. 0, or -ELIBACC: it isn't there, or not one of those
 * that are known; then *@why says more, until the thread's next dlerror(3).
 */
int httpd_load(struct httpd **out, const char **why);

/* Nothing that it has made may be left. */
struct httpd *httpd_free(struct httpd *httpd);

#endif
