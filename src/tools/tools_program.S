// SALLYPORT_TOOLS_FILE is the path of the built executable, given by CMake.
	.section .rodata
	.global tools_program_start
	.global tools_program_end
	.balign 64
tools_program_start:
	.incbin SALLYPORT_TOOLS_FILE
tools_program_end:
	.byte 0
	.section .note.GNU-stack,"",@progbits
