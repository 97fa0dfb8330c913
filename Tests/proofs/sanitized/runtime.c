// SPDX-License-Identifier: Apache-2.0

// What ThreadSanitizer has to know about Swift, linked into every program that is built for it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SELF __attribute__((swift_context)) void *mutex
#define SWIFT __attribute__((swiftcall))

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// Mutex compares and exchanges in the program itself, which is instrumented, only while no two want it at once. Whoever
// has to wait gets it in libswiftSynchronization, which is not, or from the kernel (FUTEX_LOCK_PI): without this,
// everything that a Mutex keeps is a race as soon as two meet there. No more is told than is so: who has got the lock
// comes after whoever has given it back.

// Not there in what is built beside the programs without a sanitizer.
void __tsan_acquire(void *) __attribute__((weak));
void __tsan_release(void *) __attribute__((weak));

static void *hidden(void **known, const char *name) {
    void *function = __atomic_load_n(known, __ATOMIC_ACQUIRE);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, name);
        if (function == NULL) abort();
        __atomic_store_n(known, function, __ATOMIC_RELEASE);
    }
    return function;
}

SWIFT void lock(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void lock(uint32_t thread, SELF) {
    static void *known;
    ((SWIFT void (*)(uint32_t, SELF))hidden(&known, LOCK))(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

SWIFT bool try_lock(SELF) __asm__(TRY_LOCK);
SWIFT bool try_lock(SELF) {
    static void *known;
    bool got = ((SWIFT bool (*)(SELF))hidden(&known, TRY_LOCK))(mutex);
    if (got && __tsan_acquire) __tsan_acquire(mutex);
    return got;
}

SWIFT void unlock(SELF) __asm__(UNLOCK);
SWIFT void unlock(SELF) {
    static void *known;
    if (__tsan_release) __tsan_release(mutex);
    ((SWIFT void (*)(SELF))hidden(&known, UNLOCK))(mutex);
}

// Before an argument is changed in place, the compiler tells ThreadSanitizer where it is. What has no bytes, such as
// SystemRandomNumberGenerator, is nowhere: the compiler then passes whatever is left in a register, with which
// ThreadSanitizer ends the process. Only what a program can change is passed on.

void __real___tsan_external_write(void *, void *, void *) __attribute__((weak));

static bool may_change(uintptr_t address) {
#if defined(__x86_64__)
    // The places of memory and of what is known about it, and the mark of what is only read, are those of
    // tsan_platform.h and tsan_shadow.h.
    uintptr_t terabytes = address >> 40;
    bool is_memory = (address >= 0x1000 && terabytes < 0x02) || (terabytes >= 0x55 && terabytes < 0x5a)
        || terabytes == 0x72 || (terabytes >= 0x7a && terabytes < 0x80);
    return is_memory && *(uint32_t *)(((address & 0xffff8ffffffffff8) << 1) + 0x100000000000) != 1u << 30;
#else
    return address >= 0x1000;
#endif
}

void __wrap___tsan_external_write(void *address, void *caller, void *tag) {
    if (may_change((uintptr_t)address) && __real___tsan_external_write) {
        __real___tsan_external_write(address, caller, tag);
    }
}
