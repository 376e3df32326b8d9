/* An LD_PRELOAD library that records what a process asks of the files in one folder, in order, and
   makes the disk fail on demand. A sync is recorded and not made: no test waits for a real disk.

   Environment: RECORDER_FOLDER, RECORDER_LOG. A record: u8 operation, u32 file, u64 offset,
   u32 length, bytes (little endian). Files are numbered as inodes are: a name that is made again
   is another file. SQLite's -shm is left out: it is memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MADE = 1, WRITTEN, CUT, SYNCED, UNLINKED, RENAMED, FOLDER_SYNCED, SAID, FAILED };
enum { ON_WRITE = 1, ON_SYNC = 2, ON_NAME = 4 };
enum { DESCRIPTORS = 4096, FILES = 1024, FOLDER = -1 };

static int file_of[DESCRIPTORS]; /* 0: not ours; FOLDER: the folder itself */
static char names[FILES][NAME_MAX + 1]; /* by file number; empty: the name is gone */
static int files;
static char folder[PATH_MAX];
static size_t folder_length;
static int log_file = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int fail_on, fail_errno;
static long fail_after, fail_times;

static int (*real_open)(const char *, int, ...), (*real_close)(int);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off64_t);
static int (*real_unlink)(const char *), (*real_rename)(const char *, const char *);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);

__attribute__((constructor)) static void begin(void) {
    if (real_open) return;
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    *(void **)&real_close = dlsym(RTLD_NEXT, "close");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    *(void **)&real_unlink = dlsym(RTLD_NEXT, "unlink");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    const char *where = getenv("RECORDER_FOLDER"), *log = getenv("RECORDER_LOG");
    if (!where || !log) return;
    strncpy(folder, where, sizeof folder - 1);
    folder_length = strlen(folder);
    log_file = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(uint8_t operation, uint32_t file, uint64_t offset, const void *data, size_t size) {
    char head[17];
    uint32_t length = (uint32_t)size;
    head[0] = (char)operation;
    memcpy(head + 1, &file, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &length, 4);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)data, size}};
    /* One call: a record is whole or not there. */
    if (syscall(SYS_writev, log_file, parts, 2) != (ssize_t)(sizeof head + size)) abort();
}

/* The name inside the folder, or NULL for a path that is elsewhere. */
static const char *name_in(const char *path) {
    if (log_file < 0 || strncmp(path, folder, folder_length) || path[folder_length] != '/')
        return NULL;
    const char *name = path + folder_length + 1;
    size_t length = strlen(name);
    if (strchr(name, '/') || (length > 4 && !strcmp(name + length - 4, "-shm"))) return NULL;
    return name;
}

static int number_of(const char *name) {
    for (int file = files; file > 0; file--)
        if (!strcmp(names[file], name)) return file;
    return 0;
}

static int number_for(const char *name) {
    int file = number_of(name);
    if (file) return file;
    if (++files == FILES) abort();
    strcpy(names[files], name);
    record(MADE, (uint32_t)files, 0, name, strlen(name));
    return files;
}

/* Whether this operation is one that fails; the caller holds the turn. */
static int fails(int kind, int file) {
    if (!(fail_on & kind)) return 0;
    if (fail_after > 0) { fail_after--; return 0; }
    if (fail_times == 0) return 0;
    if (fail_times > 0) fail_times--;
    if (fail_errno < 0) {
        /* Killed right before it: what was written is written, nothing more is. */
        kill(getpid(), SIGKILL);
        pause();
    }
    record(FAILED, (uint32_t)file, (uint64_t)kind, NULL, 0);
    errno = fail_errno;
    return 1;
}

/* --- for the recorded program ---------------------------------------------------------------- */
void recorder_say(const char *text, size_t size) {
    pthread_mutex_lock(&turn);
    record(SAID, 0, 0, text, size);
    pthread_mutex_unlock(&turn);
}

/* From now on operations of these kinds fail, after so many that do not, so many times (-1: all).
   A negative error ends the process instead, as kill -9 does. */
void recorder_fail(int kinds, int error, long after, long times) {
    pthread_mutex_lock(&turn);
    fail_on = kinds; fail_errno = error; fail_after = after; fail_times = times;
    pthread_mutex_unlock(&turn);
}

/* --- what is listened to ----------------------------------------------------------------------- */
static int opened(const char *path, int flags, mode_t mode) {
    begin();
    const char *name = name_in(path);
    int writes = (flags & O_ACCMODE) != O_RDONLY, result;
    pthread_mutex_lock(&turn);
    if (name && writes && fails(ON_NAME, 0)) {
        pthread_mutex_unlock(&turn);
        return -1;
    }
    result = real_open(path, flags, mode);
    if (result >= 0 && result < DESCRIPTORS) {
        file_of[result] = 0;
        if (log_file >= 0 && !strcmp(path, folder)) file_of[result] = FOLDER;
        if (name) {
            file_of[result] = number_for(name);
            if (flags & O_TRUNC) record(CUT, (uint32_t)file_of[result], 0, NULL, 0);
        }
    }
    pthread_mutex_unlock(&turn);
    return result;
}

#define OPEN_BODY                                                                                  \
    mode_t mode = 0;                                                                               \
    if (flags & O_CREAT) {                                                                         \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }                                                                                              \
    return opened(path, flags, mode);

int open(const char *path, int flags, ...) { OPEN_BODY }
int open64(const char *path, int flags, ...) { OPEN_BODY }

int close(int descriptor) {
    begin();
    if (descriptor >= 0 && descriptor < DESCRIPTORS) file_of[descriptor] = 0;
    return real_close(descriptor);
}

static int ours(int descriptor) {
    begin();
    return descriptor >= 0 && descriptor < DESCRIPTORS ? file_of[descriptor] : 0;
}

static ssize_t written(int descriptor, const void *data, size_t size, off64_t offset) {
    int file = ours(descriptor);
    if (file <= 0) return real_pwrite(descriptor, data, size, offset);
    ssize_t result = -1;
    pthread_mutex_lock(&turn);
    if (!fails(ON_WRITE, file)) {
        record(WRITTEN, (uint32_t)file, (uint64_t)offset, data, size);
        result = real_pwrite(descriptor, data, size, offset);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

ssize_t pwrite(int d, const void *data, size_t n, off_t o) { return written(d, data, n, o); }
ssize_t pwrite64(int d, const void *data, size_t n, off64_t o) { return written(d, data, n, o); }

ssize_t write(int descriptor, const void *data, size_t size) {
    int file = ours(descriptor);
    if (file <= 0) return real_write(descriptor, data, size);
    struct stat64 now;
    int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
    off64_t offset = lseek64(descriptor, 0, SEEK_CUR);
    if (appends && !fstat64(descriptor, &now)) offset = now.st_size;
    ssize_t result = -1;
    pthread_mutex_lock(&turn);
    if (!fails(ON_WRITE, file)) {
        record(WRITTEN, (uint32_t)file, (uint64_t)offset, data, size);
        result = real_write(descriptor, data, size);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

static int synced(int descriptor, int (*real)(int)) {
    int file = ours(descriptor), result = -1;
    if (file == 0) return real(descriptor);
    pthread_mutex_lock(&turn);
    if (!fails(ON_SYNC, file > 0 ? file : 0)) {
        if (file == FOLDER) record(FOLDER_SYNCED, 0, 0, NULL, 0);
        else record(SYNCED, (uint32_t)file, 0, NULL, 0);
        result = 0;
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int fsync(int descriptor) { return synced(descriptor, real_fsync); }
int fdatasync(int descriptor) { return synced(descriptor, real_fdatasync); }

static int cut(int descriptor, off64_t size) {
    int file = ours(descriptor), result = -1;
    if (file <= 0) return real_ftruncate(descriptor, size);
    pthread_mutex_lock(&turn);
    if (!fails(ON_WRITE, file)) {
        record(CUT, (uint32_t)file, (uint64_t)size, NULL, 0);
        result = real_ftruncate(descriptor, size);
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int descriptor, off_t size) { return cut(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return cut(descriptor, size); }

int unlink(const char *path) {
    begin();
    const char *name = name_in(path);
    if (!name) return real_unlink(path);
    int result = -1, file;
    pthread_mutex_lock(&turn);
    if (!fails(ON_NAME, 0) && !(result = real_unlink(path)) && (file = number_of(name))) {
        record(UNLINKED, (uint32_t)file, 0, name, strlen(name));
        names[file][0] = 0;
    }
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *from, const char *to) {
    begin();
    const char *before = name_in(from), *after = name_in(to);
    if (!before || !after) return real_rename(from, to);
    int result = -1, file, replaced;
    pthread_mutex_lock(&turn);
    if (!fails(ON_NAME, 0) && !(result = real_rename(from, to)) && (file = number_of(before))) {
        if ((replaced = number_of(after))) names[replaced][0] = 0;
        strcpy(names[file], after);
        record(RENAMED, (uint32_t)file, 0, after, strlen(after));
    }
    pthread_mutex_unlock(&turn);
    return result;
}
