/* A library that is loaded before the system's own: calls that a disk lacks fail as they do there.
   DISK_WITHOUT names them: flock (ENOSYS), symlink, hardlink (EPERM). */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <unistd.h>
static int no(const char *what) { const char *s = getenv("DISK_WITHOUT"); return s && strstr(s, what); }
int flock(int fd, int op) { (void)fd; (void)op; if (no("flock")) { errno = ENOSYS; return -1; }
  int (*real)(int,int) = dlsym(RTLD_NEXT, "flock"); return real(fd, op); }
int symlink(const char *a, const char *b) { if (no("symlink")) { errno = EPERM; return -1; }
  int (*real)(const char*,const char*) = dlsym(RTLD_NEXT, "symlink"); return real(a, b); }
int symlinkat(const char *a, int d, const char *b) { if (no("symlink")) { errno = EPERM; return -1; }
  int (*real)(const char*,int,const char*) = dlsym(RTLD_NEXT, "symlinkat"); return real(a, d, b); }
int link(const char *a, const char *b) { if (no("hardlink")) { errno = EPERM; return -1; }
  int (*real)(const char*,const char*) = dlsym(RTLD_NEXT, "link"); return real(a, b); }
int linkat(int d, const char *a, int e, const char *b, int f) { if (no("hardlink")) { errno = EPERM; return -1; }
  int (*real)(int,const char*,int,const char*,int) = dlsym(RTLD_NEXT, "linkat"); return real(d, a, e, b, f); }
