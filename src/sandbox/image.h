// The freestanding programs carried in this executable.
#ifndef SALLYPORT_SANDBOX_IMAGE_H
#define SALLYPORT_SANDBOX_IMAGE_H

extern const char image_init[], image_init_end[];

#endif
