/* The version of Interloop; the Makefile reads it from here. */
#ifndef IL_BASE_VERSION_H
#define IL_BASE_VERSION_H

#define IL_VERSION "0.1.0"

#endif
