/* interloop version: what this program is. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include "interloop/abi.h"
#include "base/version.h"

static const char usage[] =
    "usage: interloop version\n"
    "\n"
    "Prints the version, the version of the plugin ABI, and the "
    "compiler and processor\n"
    "that it was built with and for.\n";

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "another compiler"
#endif
#if defined(__x86_64__)
#define PROCESSOR "x86-64"
#elif defined(__aarch64__)
#define PROCESSOR "AArch64"
#else
#define PROCESSOR "another processor"
#endif

int il_verb_version(int argc, char **argv)
{
    if (argc > 1) {
        int help = strcmp(argv[1], "--help") == 0;

        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    printf("interloop %s\nABI       %d.%d\ncompiler  %s, %s\n", IL_VERSION,
           IL_ABI_MAJOR, IL_ABI_MINOR, COMPILER, PROCESSOR);
    return 0;
}
