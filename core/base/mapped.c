#define _DEFAULT_SOURCE /* mmap's MAP_PRIVATE everywhere */
#include "base/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

il_status il_mapped_open(il_mapped *out, const char *path, il_error *err)
{
    il_mapped m = {.data = NULL};
    il_status status = IL_OK;
    struct stat info = {.st_size = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return il_error_set(err, IL_ERR_IO, path, "cannot open: %s", strerror(errno));
    }
    if (fstat(fd, &info) != 0) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        status = il_error_set(err, IL_ERR_INPUT, path, "expected a regular file");
    } else if (info.st_size > 0) {
        void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

        if (map == MAP_FAILED) {
            status =
                il_error_set(err, IL_ERR_IO, path, "cannot map: %s", strerror(errno));
        } else {
            m.data = map;
            m.size = (size_t)info.st_size;
        }
    }
    m.device = (uint64_t)info.st_dev;
    m.number = (uint64_t)info.st_ino;
    (void)close(fd); /* the map does not need it */
    if (status == IL_OK) {
        *out = m;
    }
    return status;
}

void il_mapped_close(il_mapped *m)
{
    if (m->data != NULL) {
        /* munmap's argument is not const, and it writes nothing there */
        (void)munmap((void *)m->data, m->size);
    }
    m->data = NULL;
    m->size = 0;
}

il_status il_mapped_over(const il_mapped *m, const char *path, void *to, il_error *err)
{
    struct stat info;
    il_status status = IL_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return il_error_set(err, IL_ERR_IO, path, "cannot open: %s", strerror(errno));
    }
    if (fstat(fd, &info) != 0 || (uint64_t)info.st_dev != m->device ||
        (uint64_t)info.st_ino != m->number || (size_t)info.st_size != m->size) {
        status = il_error_set(err, IL_ERR_IO, path,
                              "another file took its place while it was read");
    } else if (m->size > 0 && mmap(to, m->size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot map: %s", strerror(errno));
    }
    (void)close(fd);
    return status;
}
