// The one door to libc's DNS resolver, which knows resolv.conf, retries, and answers that do not fit a datagram. Its
// state has forms that Swift cannot import; no logic beyond filling it.
#pragma once
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

// What a question without an answer returns instead of a length.
enum shuttle_dns_failure {
    SHUTTLE_DNS_NO_SUCH_NAME = -1,
    SHUTTLE_DNS_NO_SUCH_DATA = -2,
    SHUTTLE_DNS_NO_ANSWER = -3,
    SHUTTLE_DNS_REFUSED = -4,
};

// Asks for records of class IN and returns the answer's length. `searches` tries the domains of resolv.conf too.
// `server` (sockaddr_in or sockaddr_in6, or null) takes the place of the servers in resolv.conf. Blocks for as long as
// its servers take; may be called on several threads at once, each call has a state of its own.
static inline int shuttle_dns_ask(
    const char *name, int type, int searches, const void *server, unsigned char *answer, int capacity)
{
    struct __res_state state;
    memset(&state, 0, sizeof(state));
    if (res_ninit(&state) != 0)
        return SHUTTLE_DNS_REFUSED;
    if (server) {
        sa_family_t family = ((const struct sockaddr *)server)->sa_family;
        state.nscount = 1;
        if (family == AF_INET) {
            memcpy(&state.nsaddr_list[0], server, sizeof(struct sockaddr_in));
        } else {
            // An IPv6 server stands beside the list, whose place for it says family 0; libc frees it.
            struct sockaddr_in6 *copy = state._u._ext.nsaddrs[0];
            if (!copy)
                copy = malloc(sizeof(*copy));
            if (copy)
                memcpy(copy, server, sizeof(*copy));
            state._u._ext.nsaddrs[0] = copy;
            state.nsaddr_list[0].sin_family = 0;
        }
    }
    int length = searches ? res_nsearch(&state, name, ns_c_in, type, answer, capacity)
                          : res_nquery(&state, name, ns_c_in, type, answer, capacity);
    int failure = state.res_h_errno;
    res_nclose(&state);
    if (length >= 0)
        return length < capacity ? length : capacity;
    switch (failure) {
    case HOST_NOT_FOUND: return SHUTTLE_DNS_NO_SUCH_NAME;
    case NO_DATA: return SHUTTLE_DNS_NO_SUCH_DATA;
    case TRY_AGAIN: return SHUTTLE_DNS_NO_ANSWER;
    default: return SHUTTLE_DNS_REFUSED;
    }
}
