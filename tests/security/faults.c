/* Preloaded into a server under test: lets its disk or its wall clock fail while it runs.
 *
 * The folder named by FAULTS holds what is wrong now:
 *   sync   while it is there, fsync and fdatasync of a file fail with EIO where the file's path contains its content
 *   clock  seconds that the wall clock is ahead (or behind, below zero)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static ssize_t told(const char *name, char *text, size_t room)
{
    char path[4096];
    const char *folder = getenv("FAULTS");
    if (folder == NULL || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return -1;
    int before = errno, file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        errno = before;
        return -1;
    }
    ssize_t size = read(file, text, room - 1);
    close(file);
    text[size > 0 ? size : 0] = '\0';
    errno = before;
    return size;
}

static int fails(int file)
{
    char which[256], link[64], path[4096];
    if (told("sync", which, sizeof which) <= 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = '\0';
    return strstr(path, which) != NULL;
}

int fsync(int file)
{
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    if (fails(file)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, file);
}

static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void find_the_real_one(void)
{
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    char ahead[64];
    int found = real_clock_gettime != NULL ? real_clock_gettime(clock, now)
                                           : (int)syscall(SYS_clock_gettime, clock, now);
    if (found == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) &&
        told("clock", ahead, sizeof ahead) > 0)
        now->tv_sec += atol(ahead);
    return found;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where != NULL)
        *where = now.tv_sec;
    return now.tv_sec;
}
