// The entry point: aligns the stack and calls init_main, which never returns.
	.text
	.globl _start
	.type _start, %function
_start:
#if defined(__x86_64__)
	xor %ebp, %ebp
	and $-16, %rsp
	call init_main
	hlt
#elif defined(__aarch64__)
	mov x29, #0
	mov x30, #0
	bl init_main
	brk #0
#endif
	.size _start, . - _start
	.section .note.GNU-stack, "", %progbits
