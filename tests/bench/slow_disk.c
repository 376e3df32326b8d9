/* An LD_PRELOAD library under which waiting for the disk takes SLOW_DISK_US microseconds, no more
   and no less: what a sync costs on the flash of a gateway, the same in every run. Nothing is
   synced. */
#include <stdlib.h>
#include <time.h>

static int wait_for_disk(void) {
    const char *said = getenv("SLOW_DISK_US");
    long us = said ? atol(said) : 0;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left)) {
    }
    return 0;
}

int fsync(int file) {
    (void)file;
    return wait_for_disk();
}

int fdatasync(int file) {
    (void)file;
    return wait_for_disk();
}
