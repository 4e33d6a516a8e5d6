// The freestanding programs, carried in this executable.
	.section .rodata
	.globl image_init, image_init_end, image_probe, image_probe_end
	.balign 16
image_init:
	.incbin IMAGE_INIT
image_init_end:
	.balign 16
image_probe:
	.incbin IMAGE_PROBE
image_probe_end:
	.byte 0
	.section .note.GNU-stack, "", %progbits
