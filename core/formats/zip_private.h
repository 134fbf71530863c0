/* The marks and sizes of zip's records, which its reader and writer share. */
#ifndef IL_FORMATS_ZIP_PRIVATE_H
#define IL_FORMATS_ZIP_PRIVATE_H

#include <stdint.h>

/* Fixed parts, in bytes. */
enum { ZIP_LOCAL = 30, ZIP_ENTRY = 46, ZIP_END = 22, ZIP_END64 = 56, ZIP_LOCATOR = 20 };

#define ZIP_LOCAL_MARK   UINT32_C(0x04034b50)
#define ZIP_ENTRY_MARK   UINT32_C(0x02014b50)
#define ZIP_END_MARK     UINT32_C(0x06054b50)
#define ZIP_END64_MARK   UINT32_C(0x06064b50)
#define ZIP_LOCATOR_MARK UINT32_C(0x07064b50)

#define ZIP_64 UINT32_C(0xffffffff) /* a size that stands elsewhere, in 64 bits */

/* Who made a member, where its mode is one of Unix. */
enum { ZIP_UNIX = 3 };

/* Flags of a member that somebody meant to keep from being read. */
enum { ZIP_ENCRYPTED = 0x2041 };

#endif
