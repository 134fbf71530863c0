#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "plugin/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static il_status write_all(int fd, const char *data, size_t size, const char *where,
                           il_error *err)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return il_error_set(err, IL_ERR_MEMORY, where,
                                "cannot copy it into memory: %s", strerror(errno));
        }
        data += put;
        size -= (size_t)put;
    }
    return IL_OK;
}

/* A new file in memory that may be run from. Older systems do not know the flag that
 * says so, and allow it anyway. */
static int make_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    return fd < 0 && errno == EINVAL
               ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
               : fd;
}

il_status il_sealed_copy(const void *data, size_t size, const char *where, int *fd,
                         il_error *err)
{
    const char *slash = strrchr(where, '/');
    char name[128];
    il_status status;
    int made;

    /* The system takes names of at most 249 bytes. */
    memset(name, 0, sizeof name);
    strncpy(name, slash != NULL ? slash + 1 : where, sizeof name - 1);
    made = make_file(name);
    if (made < 0) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, where,
                            "cannot make a sealed copy to load it from: %s",
                            strerror(errno));
    }
    status = write_all(made, data, size, where, err);
    if (status == IL_OK &&
        fcntl(made, F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        status =
            il_error_set(err, IL_ERR_UNSUPPORTED, where,
                         "cannot seal the copy to load it from: %s", strerror(errno));
    }
    if (status != IL_OK) {
        (void)close(made);
        return status;
    }
    *fd = made;
    return IL_OK;
}
