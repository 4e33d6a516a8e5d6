// The freestanding init, carried in this executable.
	.section .rodata
	.globl image_init, image_init_end
	.balign 16
image_init:
	.incbin IMAGE_INIT
image_init_end:
	.byte 0
	.section .note.GNU-stack, "", %progbits
