// SPDX-License-Identifier: Apache-2.0
//
// flood PORT RATE FILE: connects to 127.0.0.1 from one address, RATE times a second, sends what is in FILE on each
// connection, and hears until the other side has closed it, or for half a second. It prints `ready`; at the end of
// standard input, what came of the connections, as JSON. What could not be connected at all counts as tried, and not as
// made. In C, since a flood that cannot be made as fast as it can be refused shows nothing.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 256, MOST = 65536 };
static const double PATIENCE = 0.5;

// By descriptor: when it was made, 0 while there is none. In the order of time: descriptors, which may have been used
// again since.
static double made[MOST];
static struct { int descriptor; double at; } line[MOST];
static size_t first, last;
static long tried, answered, closed, failed;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

// Whether a connection has never come about: it was refused, or nothing has answered yet.
static int is_none(int descriptor) {
    int error = 0;
    struct tcp_info state = {0};
    socklen_t size = sizeof error, length = sizeof state;
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &state, &length);
    return error == ECONNREFUSED || state.tcpi_state == TCP_SYN_SENT;
}

static void end(int descriptor) {
    made[descriptor] = 0;
    close(descriptor);
}

static void begin(int poll, const struct sockaddr_in *to) {
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("127.0.8.1")};
    const struct linger reset = {.l_onoff = 1};
    const int on = 1;
    int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ++tried;
    if (one < 0 || one >= MOST || (last + 1) % MOST == first) {
        ++failed;
        if (one >= 0) close(one);
        return;
    }
    setsockopt(one, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(one, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct epoll_event wanted = {.events = EPOLLOUT, .data.fd = one};
    if (bind(one, (const struct sockaddr *)&from, sizeof from) ||
        (connect(one, (const struct sockaddr *)to, sizeof *to) && errno != EINPROGRESS) ||
        epoll_ctl(poll, EPOLL_CTL_ADD, one, &wanted)) {
        ++failed;
        close(one);
        return;
    }
    made[one] = now();
    line[last].descriptor = one;
    line[last].at = made[one];
    last = (last + 1) % MOST;
}

static void hear(int poll, const struct epoll_event *event, const char *said, size_t length) {
    char buffer[4096];
    int one = event->data.fd;
    if (event->events == EPOLLOUT && send(one, said, length, MSG_NOSIGNAL) == (ssize_t)length) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.fd = one};
        epoll_ctl(poll, EPOLL_CTL_MOD, one, &wanted);
        return;
    }
    ++*(is_none(one) ? &failed : recv(one, buffer, sizeof buffer, 0) > 0 ? &answered : &closed);
    end(one);
}

static void end_before(double at) {
    for (; first != last && line[first].at <= at; first = (first + 1) % MOST) {
        if (made[line[first].descriptor] != line[first].at) continue;
        failed += is_none(line[first].descriptor);
        end(line[first].descriptor);
    }
}

int main(int count, char **words) {
    char said[4096];
    FILE *file = count == 4 ? fopen(words[3], "rb") : NULL;
    size_t length = file ? fread(said, 1, sizeof said, file) : 0;
    const double rate = count == 4 ? atof(words[2]) : 0;
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    if (!length || rate <= 0 || poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &input)) {
        fputs("usage: flood PORT RATE FILE, with a pipe as standard input\n", stderr);
        return 64;
    }
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    puts("ready");
    fflush(stdout);
    const double began = now();
    for (;;) {
        for (int due = (int)((now() - began) * rate - (double)tried), one = 0; one < due && one < AT_ONCE; ++one)
            begin(poll, &to);
        struct epoll_event events[AT_ONCE];
        int ready = epoll_wait(poll, events, AT_ONCE, 1);
        for (int each = 0; each < ready; ++each) {
            if (events[each].data.fd == STDIN_FILENO) goto over;
            hear(poll, &events[each], said, length);
        }
        end_before(now() - PATIENCE);
    }
over:
    end_before(now());
    printf("{\"tried\": %ld, \"made in a second\": %.0f, \"answered\": %ld, \"connection closed\": %ld, "
           "\"no connection\": %ld}\n",
           tried, (double)(tried - failed) / (now() - began), answered, closed, failed);
    return 0;
}
