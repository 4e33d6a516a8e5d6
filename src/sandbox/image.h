// The freestanding programs carried in this executable.
#ifndef SALLYPORT_SANDBOX_IMAGE_H
#define SALLYPORT_SANDBOX_IMAGE_H

extern const char image_init[], image_init_end[];   // PID 1 of a sandbox
extern const char image_probe[], image_probe_end[]; // what the self-test runs

#endif
