// SPDX-License-Identifier: Apache-2.0
//
// Loaded into a program (LD_PRELOAD) whose memory is counted, into the file that MEMORY_COUNTS names: how many blocks
// were allocated, how many bytes are held now, as the allocator sets them aside, and how many bytes were copied.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

// Shorter copies are not counted: there are very many, and those of content are not among them.
enum { counted = 256 };

enum { allocated, held, copied, counters_of_file };

static _Atomic long unread[counters_of_file];
static _Atomic long *counters = unread;

typedef void *copying(void *, const void *, size_t);
static copying *of_libc_copy, *of_libc_move;

__attribute__((constructor)) static void begin(void) {
    of_libc_copy = (copying *)dlsym(RTLD_NEXT, "memcpy");
    of_libc_move = (copying *)dlsym(RTLD_NEXT, "memmove");
    const char *path = getenv("MEMORY_COUNTS");
    if (path == NULL) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof unread) != 0) abort();
    void *shared = mmap(NULL, sizeof unread, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) abort();
    close(file);
    counters = shared;
}

static void *taken(void *block) {
    if (block == NULL) return NULL;
    atomic_fetch_add(&counters[allocated], 1);
    atomic_fetch_add(&counters[held], (long)malloc_usable_size(block));
    return block;
}

static void given_back(void *block) {
    if (block != NULL) atomic_fetch_sub(&counters[held], (long)malloc_usable_size(block));
}

void *malloc(size_t size) { return taken(__libc_malloc(size)); }

void *calloc(size_t number, size_t size) { return taken(__libc_calloc(number, size)); }

void *realloc(void *block, size_t size) {
    long before = block == NULL ? 0 : (long)malloc_usable_size(block);
    void *moved = __libc_realloc(block, size);
    if (moved == NULL && size != 0) return NULL;
    atomic_fetch_sub(&counters[held], before);
    return taken(moved);
}

void *reallocarray(void *block, size_t number, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(number, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, total);
}

void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *found = memalign(alignment, size);
    if (found == NULL) return ENOMEM;
    *block = found;
    return 0;
}

void free(void *block) {
    given_back(block);
    __libc_free(block);
}

// Before libc's is known: one byte after the other, and not by a call to what this is.
__attribute__((optimize("no-tree-loop-distribute-patterns"))) static void *by_hand(
    char *to, const char *from, size_t size
) {
    if (to <= from) {
        for (size_t at = 0; at < size; at++) to[at] = from[at];
    } else {
        while (size-- > 0) to[size] = from[size];
    }
    return to;
}

static void *copy(copying *of_libc, void *to, const void *from, size_t size) {
    if (size >= counted) atomic_fetch_add(&counters[copied], (long)size);
    return of_libc == NULL ? by_hand(to, from, size) : of_libc(to, from, size);
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return copy(of_libc_copy, to, from, size); }

void *memmove(void *to, const void *from, size_t size) { return copy(of_libc_move, to, from, size); }

// Valgrind 3.19 writes into the set that it is given, and ends where that is constant, as libdispatch's is.
int sigsuspend(const sigset_t *set) {
    sigset_t own = *set;
    return (int)syscall(SYS_rt_sigsuspend, &own, _NSIG / 8);
}
